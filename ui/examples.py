"""What a first-time visitor can try with one click: an item of each mode, in our own words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """rubric: the name of a rubric that ships with the library."""

    label: str
    rubric: str
    instruction: str
    responses: tuple[str, ...]
    reference: str = ""


EXAMPLES: tuple[Example, ...] = (
    Example(
        label="Score one response",
        rubric="Helpfulness",
        instruction="My sourdough starter smells of nail varnish remover. Is it ruined, and what should I do?",
        responses=(
            "It is not ruined. That smell is acetone: the yeast has run out of food. Discard all but a spoonful, "
            "feed it equal weights of flour and water, and repeat every twelve hours. After two or three feedings "
            "it should smell pleasantly sour again. Throw it away only if you see pink or orange streaks or mould.",
        ),
        reference=(
            "No. The acetone smell means that the starter is hungry. Keep a tablespoon, feed it with equal weights "
            "of flour and water twice a day until it smells sour and yeasty, and feed it more often or keep it "
            "cooler from then on. Discard it only if there is mould or a pink or orange tinge."
        ),
    ),
    Example(
        label="Compare two",
        rubric="Conciseness",
        instruction="Explain in at most two sentences why the sky is blue.",
        responses=(
            "Air molecules scatter short wavelengths of sunlight far more than long ones, so blue light reaches us "
            "from every direction of the sky. Violet is scattered even more, but the sun emits less of it and our "
            "eyes see it less well.",
            "That is a wonderful question that people have asked for thousands of years! The sky is blue because of "
            "many complicated things that happen in the atmosphere. Light comes from the sun. It then passes through "
            "the air. The air does something to the light, and what remains is blue. In the evening it is red.",
        ),
    ),
    Example(
        label="Rank three",
        rubric="Factual accuracy",
        instruction="When did people first land on the Moon, and who was on board?",
        responses=(
            "Apollo 11 landed on 20 July 1969. Neil Armstrong and Buzz Aldrin walked on the surface while Michael "
            "Collins stayed in orbit.",
            "The first landing was Apollo 11 in July 1969, with Neil Armstrong and Buzz Aldrin.",
            "People first landed on the Moon in 1972 with Apollo 13, led by Yuri Gagarin.",
        ),
    ),
)
