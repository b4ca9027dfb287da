"""What the client says where no server at hand says it."""

import pytest

from resources.object_store.errors import explained


@pytest.mark.parametrize(
    ("code", "kind"), [("401", PermissionError), ("403", PermissionError), ("503", ConnectionError)]
)
def test_azure_says_of_each_object_why_it_stays(code: str, kind: type[Exception]) -> None:
    """As obstore words it: the emulator refuses no single object."""
    from obstore.exceptions import GenericError

    said = f"Bulk delete request failed for key a due to x (code: {code})\n\nDebug source:\nGeneric"
    found = explained("az://lake", GenericError(f"Generic MicrosoftAzure error: {said}"))
    assert type(found) is kind
