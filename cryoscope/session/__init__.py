"""The open project: evented state, verbs, jobs and undo; headless and scriptable.

::

    from cryoscope.session import Session, actions

    session = Session()
    session.events.notice.connect(print)
    actions.open_files(session, ["particles.star", "model.pdb"])
    actions.wait(session)
    actions.start_training(session)

Importing this package imports neither torch nor Qt.
"""

from cryoscope.session import actions
from cryoscope.session.forms import FormField
from cryoscope.session.records import (
    JobView,
    LossHistory,
    Notice,
    ParticlesView,
    RunStatus,
    RunView,
    ShownState,
    StructureView,
    UndoState,
)
from cryoscope.session.state import Session

__all__ = [
    "FormField",
    "JobView",
    "LossHistory",
    "Notice",
    "ParticlesView",
    "RunStatus",
    "RunView",
    "Session",
    "ShownState",
    "StructureView",
    "UndoState",
    "actions",
]
