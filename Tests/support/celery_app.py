"""The Python developer's app: the README's settings, unchanged."""

from celery import Celery


def make_app(broker, backend=None):
    app = Celery("fba_tasks", broker=broker, backend=backend or broker)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        timezone="Asia/Shanghai",
        enable_utc=True,
        task_track_started=True,
        task_max_retries=5,
    )
    # One app a test: none may answer for another's.
    app.set_current()
    return app
