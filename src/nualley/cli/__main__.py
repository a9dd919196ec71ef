"""``python -m nualley.cli``: the command without its script."""

from nualley.cli.start import main

raise SystemExit(main())
