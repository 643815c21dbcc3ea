"""Looking an installation over harms no neighbour that does the same."""

import threading
from pathlib import Path

import pytest

from hallkeeper.preflight import DataFolderError, usable


def test_many_who_try_the_data_folder_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def often() -> None:
        try:
            for _ in range(300):
                usable(tmp_path / "data")
        except DataFolderError as error:
            failed.append(error)

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_in_the_place_of_the_data_folder_is_named_with_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataFolderError, match=r"data: the data folder cannot be used .+; try: giving it"):
        usable(tmp_path / "data")
