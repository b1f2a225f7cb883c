"""``python -m coflect_widget.cli``."""

from coflect_widget.cli import main

raise SystemExit(main())
