"""What the server says of itself: OpenAPI, AsyncAPI, and a page for people.

Every route and event is described here by its types; a test fails for one that is not. To add one:
an `Operation` in the family's file here, or an event type to its family's union.
"""

from api.docs.documents import Documents, all_operations, make_documents
from api.docs.operation import Operation
from api.docs.routes import docs_routes
from api.docs.streams import STREAMS

__all__ = [
    "STREAMS",
    "Documents",
    "Operation",
    "all_operations",
    "docs_routes",
    "make_documents",
]
