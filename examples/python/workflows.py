"""A Workflow in Python that has images made by the Workers of rivya-temporal, which hold the API key."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy


@workflow.defn
class Poster:
    @workflow.run
    async def run(self, subject: str) -> dict:
        image = await self.generate(
            "poster", {"model": "z-image", "prompt": f"A poster of {subject}", "labels": {"team": "posters"}}
        )
        return {"taskId": image["taskId"], "url": image["primaryUrl"], "credits": image["finalCredits"]}

    async def generate(self, step: str, request: dict) -> dict:
        """Runs a step that is paid once, also when this Workflow is reset or started again."""
        while True:
            try:
                return await workflow.execute_child_workflow(
                    "generateMedia",
                    request,
                    # An ID of its own, `<parent>/<step>`. A child without an ID would get a random one, and is refused: a
                    # reset of this Workflow would make another one and pay again.
                    id=f"{workflow.info().workflow_id}/{step}",
                    task_queue="rivya",
                    # A generation that is paid for goes on when this Workflow is ended.
                    parent_close_policy=ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                # An earlier run of this Workflow has started it. Once it has ended, it finds its task and gives the result.
                await asyncio.sleep(30)
