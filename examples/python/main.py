"""Runs the Worker of this example and one poster, then stops."""

import asyncio
import json
import os
import sys
import uuid

from temporalio.client import Client
from temporalio.worker import Worker

from workflows import Poster

TASK_QUEUE = "posters"


async def main() -> None:
    client = await Client.connect(
        os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
        namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )
    async with Worker(client, task_queue=TASK_QUEUE, workflows=[Poster]):
        poster = await client.execute_workflow(
            Poster.run,
            sys.argv[1] if len(sys.argv) > 1 else "a fox in the snow",
            id=f"poster-{uuid.uuid4()}",
            task_queue=TASK_QUEUE,
        )
    print(json.dumps(poster, indent=2))


asyncio.run(main())
# The native threads of the SDK can crash an interpreter that is shutting down, after all is done.
sys.stdout.flush()
os._exit(0)
