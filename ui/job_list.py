"""Jobs as a list of cards, in which every text is escaped; its buttons tell the page which job is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.jobs import Jobs, JobState, JobView
from ui.shell import escape

PRESS = """
element.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-job]");
    if (pressed) trigger("select", {job: Number(pressed.dataset.job), act: pressed.dataset.act});
});
"""
"""For the gr.HTML that shows the list: a press arrives as its select event, with job (an id) and act."""
OPEN, CANCEL, PAUSE, RESUME, AGAIN = "open", "cancel", "pause", "resume", "again"
LABELS = {CANCEL: "Cancel", PAUSE: "Pause", RESUME: "Resume", AGAIN: "Try again"}
BADGES = {
    JobState.FAILED: "assay-badge-warn",
    JobState.RUNNING: "assay-badge-going",
    JobState.DONE: "assay-badge-going",
}
MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Listed:
    """A list of jobs as HTML, and the one of them that is opened; None where there are none."""

    html: str
    opened: JobView | None


def listed(jobs: Sequence[JobView], name: str, *, opened_id: int | None, empty: str) -> Listed:
    """The newest job is opened where the one with this id is not among them. empty: what stands for no jobs."""
    opened = next((job for job in jobs if job.id == opened_id), next(iter(jobs), None))
    if opened is None:
        return Listed(empty, None)
    return Listed(job_list(jobs, name, opened_id=opened.id, notes={}, pausable=True), opened)


def press(jobs: Jobs, job_id: int, act: str, user_id: int) -> int:
    """Do what a button of the list says; the id of the job that is meant from then on.

    Raises NotFoundError, NotAllowedError and ConflictError.
    """
    match act:
        case "cancel":
            jobs.cancel(job_id, user_id)
        case "pause":
            jobs.pause(job_id, user_id)
        case "resume":
            jobs.resume(job_id, user_id)
        case "again":
            return jobs.again(job_id, user_id)
    return job_id


def job_list(
    jobs: Sequence[JobView], name: str, *, opened_id: int | None, notes: Mapping[int, str], pausable: bool = False
) -> str:
    """The jobs in this order. name: of the list. notes: by job, what more is known of one that runs. pausable: such a
    job goes on where it was.
    """
    cards = "".join(
        f"<li>{_card(job, notes.get(job.id, ''), opened=job.id == opened_id, pausable=pausable)}</li>" for job in jobs
    )
    return f"<ul class='assay-jobs' aria-label='{escape(name)}'>{cards}</ul>"


def job_status(job: JobView, note: str = "") -> str:
    """Its message and, while it runs, its progress bar."""
    said = " ".join(text for text in (job.message or _waiting(job), note) if text)
    role = "alert" if job.state is JobState.FAILED else "status"
    message = f"<p class='assay-job-message' role='{role}'>{escape(said)}</p>" if said else ""
    return _bar(job) + message


def opened_head(job: JobView, note: str = "") -> str:
    """Its title, state and status; why it failed is told by its card in the list."""
    head = f"<div class='assay-opened-head'><h2 dir='auto'>{escape(job.title)}</h2>{_badge(job.state)}</div>"
    return head if job.state is JobState.FAILED else head + job_status(job, note)


def duration(seconds: float) -> str:
    """A length of time in words, in the two units that matter."""
    if seconds < MINUTE:
        return "less than a minute"
    if seconds < HOUR:
        return _units(seconds / MINUTE, "minute")
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{_units(seconds // DAY, 'day')} {seconds % DAY // HOUR:.0f} h"


def _badge(state: JobState) -> str:
    return f"<span class='assay-badge {BADGES.get(state, '')}'>{state}</span>"


def _card(job: JobView, note: str, *, opened: bool, pausable: bool) -> str:
    return (
        f"<article class='assay-job' aria-label='Job {job.id}'><div class='assay-job-head'>"
        f"<button type='button' class='assay-job-name' data-job='{job.id}' data-act='{OPEN}' "
        f"aria-pressed='{str(opened).lower()}' dir='auto'>{escape(job.title)}</button>{_badge(job.state)}</div>"
        f"{job_status(job, note)}"
        f"<div class='assay-job-foot'><span class='assay-card-facts'>{_facts(job)}</span>"
        f"{_buttons(job, pausable=pausable)}</div></article>"
    )


def _bar(job: JobView) -> str:
    if job.state is not JobState.RUNNING:
        return ""
    value = "" if job.fraction is None else f" value='{job.fraction:.3f}'"
    return f"<progress aria-label='Progress of job {job.id}' max='1'{value}></progress>"


def _buttons(job: JobView, *, pausable: bool) -> str:
    match job.state:
        case JobState.QUEUED | JobState.RUNNING:
            acts = [PAUSE, CANCEL] if pausable else [CANCEL]
        case JobState.PAUSED:
            acts = [RESUME, CANCEL]
        case JobState.FAILED | JobState.CANCELLED:
            acts = [AGAIN]
        case JobState.DONE:
            acts = []
    buttons = "".join(
        f"<button type='button' class='assay-job-button' data-job='{job.id}' data-act='{act}' "
        f"aria-label='{LABELS[act]}: {escape(job.title)}'>{LABELS[act]}</button>"
        for act in acts
    )
    return f"<span class='assay-job-buttons'>{buttons}</span>" if buttons else ""


def _facts(job: JobView) -> str:
    facts = [f"Job {job.id}", f"asked for {job.created_at:%Y-%m-%d %H:%M} UTC"]
    if job.started_at is not None and job.finished_at is not None:
        facts.append(f"took {duration((job.finished_at - job.started_at).total_seconds())}")
    return " · ".join(facts)


def _waiting(job: JobView) -> str:
    return {JobState.QUEUED: "Waits for its turn.", JobState.PAUSED: "Paused: it goes on where it was."}.get(
        job.state, ""
    )


def _units(number: float, unit: str) -> str:
    return f"{number:.0f} {unit}{'' if round(number) == 1 else 's'}"
