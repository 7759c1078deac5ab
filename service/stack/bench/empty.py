"""The limit that HTTP sets: a Flask application that does nothing, under the same gunicorn settings as ours."""

from flask import Flask


class Idle:
    """Stands for what deploy/gunicorn.conf.py starts in each web process."""

    def start(self) -> None:
        """Do nothing."""


app = Flask(__name__)
app.extensions["drainer"] = Idle()


@app.route("/webhooks/cobalt", methods=["GET", "POST"])  # GET: whether it is up
def ok() -> str:
    """Answer."""
    return "ok"
