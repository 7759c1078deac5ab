"""Cobalt's calls about webhook URLs and their secret, under `/v1/webhook`.

They belong to the client, not to an account, so they ask for no `access_token`.
"""

from flask import Blueprint, Response

from service.lab.sandbox.events import new_secret
from service.lab.sandbox.fields import RefusedError
from service.lab.sandbox.replies import authenticate_client, is_web_address, read_body, reply
from service.lab.sandbox.settings import Settings
from service.lab.sandbox.webhooks import Webhooks


def registrations(settings: Settings, webhooks: Webhooks) -> Blueprint:
    """The views."""
    views = Blueprint("registrations", __name__)

    @views.get("/webhook")
    def show_webhooks() -> Response:
        authenticate_client(settings)
        urls = [{"id": url_id, "url": url} for url_id, url in webhooks.urls.items()]
        newest = urls[-1]["url"] if urls else None
        return reply(
            {
                "success": True,
                "webhook_url": newest,
                "webhook_urls": urls,
                "webhook_secret_key": webhooks.secret,
            }
        )

    @views.post("/webhook")
    def register_webhook() -> Response:
        authenticate_client(settings)
        body = read_body()
        url = body.get("webhook_url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not is_web_address(url):
            raise RefusedError(400, "webhook_url must be a URL")
        webhooks.register(url)
        return _with_secret("Webhook registered successfully")

    @views.delete("/webhook/<url_id>")
    def remove_webhook(url_id: str) -> Response:
        authenticate_client(settings)
        if not webhooks.remove(url_id):
            raise RefusedError(404, "Webhook not found")
        return reply({"success": True, "message": "Webhook URL removed successfully"})

    @views.post("/webhook/rotate-secret")
    def rotate_secret() -> Response:
        authenticate_client(settings)
        webhooks.secret = new_secret()
        return _with_secret("Webhook secret rotated successfully")

    def _with_secret(message: str) -> Response:
        return reply({"success": True, "message": message, "webhook_secret_key": webhooks.secret})

    return views
