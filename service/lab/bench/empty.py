"""The limit that HTTP sets: a Flask application that does nothing, under the same gunicorn settings as ours."""

from flask import Flask

app = Flask(__name__)


@app.route("/webhooks/cobalt", methods=["GET", "POST"])  # GET: whether it is up
def ok() -> str:
    """Answer."""
    return "ok"
