"""Puts a session that was just started under limits, gives it more time later, and asks how it ended.

    pip install temporalio
    python examples/watch/watch.py SESSION_ID

Needs a Curfew worker on the same Temporal; TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
"""

import asyncio
import os
import sys

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy


async def main(session_id: str) -> int:
    client = await Client.connect(
        os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
        namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )

    # One watch per session. Started again, the one that runs is found, and its limits stay as they are.
    watch = await client.start_workflow(
        "sessionWatch",
        {
            "sessionId": session_id,
            "limits": {"maxRuntime": "20m", "maxCredits": 500},
            "reason": "nightly import",
            "requestedBy": "importer@example.com",
        },
        id=f"watch/{session_id}",
        task_queue="curfew",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )

    # More time, or less: an update is answered when it counts.
    try:
        answer = await watch.execute_update(
            "extend",
            {"limits": {"maxRuntime": "40m"}, "requestedBy": "importer@example.com"},
            result_type=dict,
        )
        print("limits now", answer["watch"]["limits"], "order met:", answer["order"])

        status = await watch.query("watch", result_type=dict)
        print(status["phase"], status["deadline"], status["lastNote"])

        # The session needs no watch any more. Leave this out, and the result tells how the session ended.
        await watch.execute_update(
            "release",
            {"reason": "the import is done", "requestedBy": "importer@example.com"},
            result_type=dict,
        )
        result = await watch.result()
        order = result["order"]
        print("ended:", result["ending"], "order:", order["outcome"] if order else "none")
        return 0
    except WorkflowFailureError as error:
        # A wrong limit is named here: "limits.maxRuntime is "20", which has no unit. Did you mean 20m?"
        print("refused:", error.cause, file=sys.stderr)
        return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python examples/watch/watch.py SESSION_ID")
    sys.exit(asyncio.run(main(sys.argv[1])))
