"""The API of OpenAI, translated to and from what the services know."""
