"""The list of jobs: which one is opened, which buttons each has, and what they do."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import ConflictError
from backend.jobs import JobKind, Jobs, JobState, JobView
from db.models import now
from db.session import Store
from tests.conftest import add_user
from ui.job_list import job_list, listed, opened_head, press


def job(job_id: int, state: JobState) -> JobView:
    return JobView(job_id, JobKind.BENCH, "A <b>run</b>", {}, state, "", None, None, 1, now(), None, None)


@pytest.mark.parametrize(
    ("state", "labels"),
    [
        (JobState.QUEUED, ["Pause", "Cancel"]),
        (JobState.RUNNING, ["Pause", "Cancel"]),
        (JobState.PAUSED, ["Resume", "Cancel"]),
        (JobState.FAILED, ["Try again"]),
        (JobState.CANCELLED, ["Try again"]),
        (JobState.DONE, []),
    ],
)
def test_a_job_has_the_buttons_that_do_something(state: JobState, labels: list[str]) -> None:
    html = job_list([job(1, state)], "Runs", opened_id=None, notes={}, pausable=True)
    assert [label for label in ("Pause", "Resume", "Cancel", "Try again") if f">{label}</button>" in html] == labels
    assert "<b>" not in html
    plain = job_list([job(1, state)], "Runs", opened_id=None, notes={})
    assert ">Pause</button>" not in plain


def test_why_a_job_failed_is_told_once_by_its_card() -> None:
    failed = replace(job(1, JobState.FAILED), message="It broke.")
    assert "It broke." in job_list([failed], "Runs", opened_id=1, notes={})
    assert "It broke." not in opened_head(failed)
    assert "Almost." in opened_head(replace(job(1, JobState.RUNNING), message="Almost."))


def test_the_newest_job_is_opened_where_the_wanted_one_is_gone() -> None:
    jobs = [job(3, JobState.DONE), job(2, JobState.DONE)]
    assert listed(jobs, "Runs", opened_id=2, empty="none").opened == jobs[1]
    assert listed(jobs, "Runs", opened_id=9, empty="none").opened == jobs[0]
    assert listed([], "Runs", opened_id=9, empty="none") == listed([], "Runs", opened_id=None, empty="none")
    assert listed([], "Runs", opened_id=None, empty="none").html == "none"


def test_the_buttons_pause_resume_cancel_and_try_again(store: Store, tmp_path: Path) -> None:
    lead = add_user(store, "ann", "lead")
    jobs = Jobs(store, tmp_path, {})
    job_id = jobs.submit(JobKind.BENCH, "A run", {}, lead)
    assert press(jobs, job_id, "pause", lead) == job_id
    assert jobs.get(job_id).state is JobState.PAUSED
    press(jobs, job_id, "resume", lead)
    assert jobs.get(job_id).state is JobState.QUEUED
    press(jobs, job_id, "open", lead)
    assert jobs.get(job_id).state is JobState.QUEUED
    press(jobs, job_id, "cancel", lead)
    assert jobs.get(job_id).state is JobState.CANCELLED
    with pytest.raises(ConflictError):
        press(jobs, job_id, "resume", lead)
    again = press(jobs, job_id, "again", lead)
    assert again != job_id
    assert jobs.get(again).state is JobState.QUEUED
    jobs.close()
