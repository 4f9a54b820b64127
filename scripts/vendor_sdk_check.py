"""Exercises the vendor's own Python SDK against the simulator: what satisfies it here should satisfy it there.

Environment: GUMLOOP_BASE_URL, GUMLOOP_ACCESS_TOKEN (the personal key), GUMLOOP_USER_ID, and CONTROL_URL, the simulator's
control API. Prints one line per check and a total; exits 1 when one failed.
"""

import json
import os
import sys
import traceback
import urllib.request

from gumloop import Gumloop
from gumloop.errors import APIStatusError

CONTROL = os.environ["CONTROL_URL"]
AGENT = "agent_support"


def control(method: str, path: str, body: object = None) -> dict:
    """Calls the control API of the simulator."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{CONTROL}{path}", data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def fails_with(status: int, call) -> APIStatusError:
    """The error that `call` raises, which must be the SDK's own class with this status."""
    try:
        call()
    except APIStatusError as error:
        assert error.status_code == status, f"expected {status}, got {error.status_code}"
        return error
    raise AssertionError(f"expected {status}, but the call succeeded")


def all_pages(call, field: str, **arguments) -> list:
    """All items of a paged listing, with at most 100 pages."""
    items, cursor = [], None
    for _ in range(100):
        page = call(**arguments, **({} if cursor is None else {"cursor": cursor}))
        items += getattr(page, field)
        cursor = page.next_cursor
        if cursor is None:
            return items
    raise AssertionError("the listing does not end")


def agents_are_listed(client: Gumloop) -> None:
    names = {agent.name for agent in client.agents.list().agents}
    assert {"support-triage", "research-deep"} <= names, names


def agents_are_paged(client: Gumloop) -> None:
    whole = [agent.id for agent in client.agents.list().agents]
    paged = [agent.id for agent in all_pages(client.agents.list, "agents", page_size=1)]
    assert paged == whole, (paged, whole)


def agents_of_a_team_are_in_its_list_alone(client: Gumloop) -> None:
    control("POST", "/teams", {"id": "team_research", "name": "Research"})
    control("POST", "/agents", {"id": "agent_of_team", "name": "research-one", "teamId": "team_research"})
    control("POST", "/teams", {"id": "team_foreign", "member": False})
    assert [(team.id, team.name) for team in client.teams.list().teams] == [("team_research", "Research")]
    listed = [(agent.id, agent.team_id) for agent in client.agents.list(team_id="team_research").agents]
    assert listed == [("agent_of_team", "team_research")], listed
    assert "agent_of_team" not in {agent.id for agent in client.agents.list().agents}
    fails_with(403, lambda: client.agents.list(team_id="team_foreign"))


def a_session_of_a_team_needs_no_team(client: Gumloop) -> None:
    session = client.sessions.create("agent_of_team", input="Go.").session
    assert session.id in {listed.id for listed in client.sessions.list("agent_of_team").sessions}
    assert client.sessions.retrieve(session.id).session.agent_team_id == "team_research"
    assert client.sessions.cancel(session.id).session.state == "failed"


def sessions_are_paged(client: Gumloop) -> None:
    whole = [session.id for session in client.sessions.list(AGENT, page_size=100).sessions]
    paged = [s.id for s in all_pages(client.sessions.list, "sessions", agent_id=AGENT, page_size=2)]
    assert paged == whole and len(whole) > 2, (paged, whole)


def sessions_are_filtered_by_state(client: Gumloop) -> None:
    sessions = client.sessions.list(AGENT, state="processing", page_size=100).sessions
    assert sessions and all(session.state == "processing" for session in sessions)


def a_stub_is_created_idle(client: Gumloop) -> None:
    session = client.sessions.create(AGENT, name="A stub").session
    assert (session.state, session.name, session.messages) == ("idle", "A stub", [])


def a_session_is_created_read_and_cancelled(client: Gumloop) -> None:
    created = client.sessions.create(AGENT, input="Count to a million.").session
    assert created.state == "processing", created.state
    read = client.sessions.retrieve(created.id).session
    assert [message.role for message in read.messages] == ["user"]
    assert read.messages[0].content == "Count to a million."
    cancelled = client.sessions.cancel(created.id).session
    assert (cancelled.id, cancelled.state, cancelled.created_at) == (created.id, "failed", None)
    after = client.sessions.retrieve(created.id).session
    assert after.state == "failed"
    assert after.messages[-1].parts[-1]["type"] == "error", after.messages[-1]


def a_message_starts_the_next_turn(client: Gumloop) -> None:
    session = client.sessions.create(AGENT, input="First.").session
    error = fails_with(409, lambda: client.sessions.send(session.id, input="Too early."))
    assert error.code == "interaction_not_in_terminal_state", error.code
    client.sessions.cancel(session.id)
    sent = client.sessions.send(session.id, input="Second.").session
    assert sent.state == "processing" and sent.messages[-1].content == "Second."
    client.sessions.cancel(session.id)


def usage_is_read(client: Gumloop) -> None:
    session = client.sessions.retrieve("sess_runaway").session
    assert session.usage.credit_cost > 0 and session.usage.input_tokens > 0


def messages_wait_in_the_queue(client: Gumloop) -> None:
    session = client.sessions.create(AGENT, input="Work.").session
    client.sessions.queue_message(session.id, "Then this.")
    queued = client.sessions.queue_message(session.id, "Then that.").queued_message
    assert queued.position == 2
    assert [m.input for m in client.sessions.list_queue(session.id).queue] == ["Then this.", "Then that."]
    assert len(client.sessions.delete_queued_message(session.id, queued.id).queue) == 1
    restarted = client.sessions.send_queued_message(session.id, client.sessions.list_queue(session.id).queue[0].id)
    assert restarted.session.messages[-1].content == "Then this."
    client.sessions.cancel(session.id)


def asks_are_answered(client: Gumloop) -> None:
    session = client.sessions.create(AGENT, input="Ask me.").session
    control("POST", f"/sessions/{session.id}/require-approval", {})
    paused = client.sessions.retrieve(session.id).session
    assert paused.state == "approval_required"
    ask = paused.pending_approvals[0].action_request_id
    answer = client.sessions.resolve_approvals(
        session.id, approval_responses=[{"action_request_id": ask, "action": "accept"}]
    )
    assert (answer.results[0].outcome, answer.session.state) == ("accepted", "processing")
    client.sessions.cancel(session.id)


def a_failed_abort_is_an_error(client: Gumloop) -> None:
    session = client.sessions.create(AGENT, input="Do not stop.").session
    control("PUT", "/faults", {"session": session.id, "faults": [{"fault": "failed-to-abort"}]})
    error = fails_with(500, lambda: client.sessions.cancel(session.id))
    assert (error.code, error.type) == ("failed_to_abort", "api_error"), (error.code, error.type)
    assert client.sessions.retrieve(session.id).session.state == "processing"
    assert client.sessions.cancel(session.id).session.state == "failed"


def an_unknown_session_is_an_error(client: Gumloop) -> None:
    error = fails_with(404, lambda: client.sessions.retrieve("sess_missing"))
    assert error.type == "not_found_error", error.type


def a_tier_refusal_keeps_its_flat_code(client: Gumloop) -> None:
    control("PUT", "/faults", {"faults": [{"fault": "forbidden-account", "on": "agents"}]})
    error = fails_with(403, lambda: client.agents.list())
    assert (error.code, error.details) == ("tier_required_pro", {"minimum_tier": "pro"}), (error.code, error.details)


def a_wrong_key_is_refused(_client: Gumloop) -> None:
    with Gumloop(access_token="not-the-key") as stranger:
        error = fails_with(401, lambda: stranger.agents.list())
        assert error.type == "authentication_error", error.type


def a_revoked_key_works_again_when_restored(client: Gumloop) -> None:
    control("POST", "/key/revoke")
    fails_with(401, lambda: client.sessions.list(AGENT))
    control("POST", "/key/restore")
    client.sessions.list(AGENT)


CHECKS = [
    agents_are_listed,
    agents_are_paged,
    agents_of_a_team_are_in_its_list_alone,
    a_session_of_a_team_needs_no_team,
    sessions_are_paged,
    sessions_are_filtered_by_state,
    a_stub_is_created_idle,
    a_session_is_created_read_and_cancelled,
    a_message_starts_the_next_turn,
    usage_is_read,
    messages_wait_in_the_queue,
    asks_are_answered,
    a_failed_abort_is_an_error,
    an_unknown_session_is_an_error,
    a_tier_refusal_keeps_its_flat_code,
    a_wrong_key_is_refused,
    a_revoked_key_works_again_when_restored,
]


def main() -> int:
    failed = 0
    with Gumloop() as client:
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                check(client)
                print(f"ok      {name}")
            except Exception:  # a check that fails in whatever way must not hide the others
                failed += 1
                print(f"FAILED  {name}")
                traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
