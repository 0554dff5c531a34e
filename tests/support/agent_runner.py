"""A scripted runner that acts as the model of an agent: it reads a file, then tells what it says.

Its first answer is a call of the tool `read` with the path that the question names; when the
sentence of the file is in the prompt, its answer quotes it.
"""

import re
import socket
import sys

from runners.protocol.messages import Generate
from tests.support.fake_runner import FakeRunner, detokenized, tokens_of

SENTENCE = re.compile(r"The password of the day is \w+")
_PATH = re.compile(r"\S+\.txt")


class AgentRunner(FakeRunner):
    """Answers by what is in the prompt."""

    def _generate(self, request: Generate) -> None:
        prompt = request.prompt
        tokens = prompt if isinstance(prompt, tuple) else tokens_of(prompt)
        text = detokenized(tokens)[0]
        found, path = SENTENCE.search(text), _PATH.search(text)
        if found:
            answer = f"The file says: {found[0]}."
        elif path and '"read"' in text:
            call = f'{{"name": "read", "arguments": {{"filePath": "{path[0]}"}}}}'
            answer = f"<tool_call>\n{call}\n</tool_call>"
        else:
            answer = "A short title"
        self._say(request, iter(re.findall(r"\S+\s*", answer)))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1])) as sock:
        AgentRunner(sock, gpu=False).serve()
