"""``python -m dtopics.cli``, where no script is on the path."""

from dtopics.cli import main

if __name__ == "__main__":
    main()
