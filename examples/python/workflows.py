"""A Workflow in Python that has images made by the Workers of rivya-temporal, which hold the API key."""

from temporalio import workflow
from temporalio.workflow import ParentClosePolicy


@workflow.defn
class Poster:
    @workflow.run
    async def run(self, subject: str) -> dict:
        image = await workflow.execute_child_workflow(
            "generateMedia",
            {"model": "z-image", "prompt": f"A poster of {subject}", "labels": {"team": "posters"}},
            # An ID of its own, made from ours: a reset of this Workflow asks for the same generation again, which is
            # not paid twice. A child without an ID would get a random one, and is refused.
            id=f"{workflow.info().workflow_id}/poster",
            task_queue="rivya",
            # A generation that is paid for goes on when this Workflow is ended.
            parent_close_policy=ParentClosePolicy.ABANDON,
        )
        return {"taskId": image["taskId"], "url": image["primaryUrl"], "credits": image["finalCredits"]}
