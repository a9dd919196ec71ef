"""``python -m nualley.cli``: the command without its script."""

from nualley.cli.main import main

raise SystemExit(main())
