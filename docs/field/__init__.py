"""The field: every published port that can run here, checked, and the page that says what came of it.

``python -m docs.field run`` checks the ports and writes one JSON file for each;
``python -m docs.field page`` builds the compatibility page and its picture from these files alone.
"""
