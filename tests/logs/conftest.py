"""What the tests of logs share with those of stores."""

from tests.stores import conftest

place = conftest.place
