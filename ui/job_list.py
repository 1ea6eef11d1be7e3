"""Jobs as a list of cards, in which every text is escaped; its buttons tell the page which job is meant."""

from collections.abc import Mapping, Sequence

from backend.jobs import JobState, JobView
from ui.shell import escape

PRESS = """
element.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-job]");
    if (pressed) trigger("select", {job: Number(pressed.dataset.job), act: pressed.dataset.act});
});
"""
"""For the gr.HTML that shows the list: a press arrives as its select event, with job (an id) and act."""
OPEN, CANCEL, AGAIN = "open", "cancel", "again"
BADGES = {
    JobState.FAILED: "assay-badge-warn",
    JobState.RUNNING: "assay-badge-going",
    JobState.DONE: "assay-badge-going",
}
MINUTE, HOUR, DAY = 60, 3600, 86_400


def job_list(jobs: Sequence[JobView], name: str, *, opened_id: int | None, notes: Mapping[int, str]) -> str:
    """The jobs in this order. name: of the list. notes: by job, what more is known of one that runs."""
    cards = "".join(f"<li>{_card(job, notes.get(job.id, ''), opened=job.id == opened_id)}</li>" for job in jobs)
    return f"<ul class='assay-jobs' aria-label='{escape(name)}'>{cards}</ul>"


def job_status(job: JobView, note: str = "") -> str:
    """Its message and, while it runs, its progress bar."""
    said = " ".join(text for text in (job.message or _waiting(job), note) if text)
    role = "alert" if job.state is JobState.FAILED else "status"
    message = f"<p class='assay-job-message' role='{role}'>{escape(said)}</p>" if said else ""
    return _bar(job) + message


def duration(seconds: float) -> str:
    """A length of time in words, in the two units that matter."""
    if seconds < MINUTE:
        return "less than a minute"
    if seconds < HOUR:
        return _units(seconds / MINUTE, "minute")
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{_units(seconds // DAY, 'day')} {seconds % DAY // HOUR:.0f} h"


def badge(state: JobState) -> str:
    return f"<span class='assay-badge {BADGES.get(state, '')}'>{state}</span>"


def _card(job: JobView, note: str, *, opened: bool) -> str:
    return (
        f"<article class='assay-job' aria-label='Job {job.id}'><div class='assay-job-head'>"
        f"<button type='button' class='assay-job-name' data-job='{job.id}' data-act='{OPEN}' "
        f"aria-pressed='{str(opened).lower()}' dir='auto'>{escape(job.title)}</button>{badge(job.state)}</div>"
        f"{job_status(job, note)}"
        f"<div class='assay-job-foot'><span class='assay-card-facts'>{_facts(job)}</span>{_button(job)}</div></article>"
    )


def _bar(job: JobView) -> str:
    if job.state is not JobState.RUNNING:
        return ""
    value = "" if job.fraction is None else f" value='{job.fraction:.3f}'"
    return f"<progress aria-label='Progress of job {job.id}' max='1'{value}></progress>"


def _button(job: JobView) -> str:
    match job.state:
        case JobState.QUEUED | JobState.RUNNING | JobState.PAUSED:
            act, label = CANCEL, "Cancel"
        case JobState.FAILED | JobState.CANCELLED:
            act, label = AGAIN, "Try again"
        case JobState.DONE:
            return ""
    return (
        f"<button type='button' class='assay-job-button' data-job='{job.id}' data-act='{act}' "
        f"aria-label='{label}: {escape(job.title)}'>{label}</button>"
    )


def _facts(job: JobView) -> str:
    facts = [f"Job {job.id}", f"asked for {job.created_at:%Y-%m-%d %H:%M} UTC"]
    if job.started_at is not None and job.finished_at is not None:
        facts.append(f"took {duration((job.finished_at - job.started_at).total_seconds())}")
    return " · ".join(facts)


def _waiting(job: JobView) -> str:
    return "Waits for its turn." if job.state is JobState.QUEUED else ""


def _units(number: float, unit: str) -> str:
    return f"{number:.0f} {unit}{'' if round(number) == 1 else 's'}"
