"""The OpenAPI document, made from the views and their schemas, and the page that shows it."""
