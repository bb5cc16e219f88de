"""What a training leaves behind is read as hostile input: a bad file is the method's own row and nothing more.

Each method does its work, puts something into its folder and ends its process as one that has trained to the end does.
"""

import os
from pathlib import Path

import pytest

from kdbench.records import PREDICTIONS, RESULT, WEIGHTS
from tests.hostile.arena import Arena, Battle, Case
from tests.hostile.sources import Parts

pytestmark = pytest.mark.slow  # the methods of a kind are run together, for most of a minute

WRITE_ALL = """
OUTCOME = {"status": "ok", "reason": "", "budget": {"steps": 2, "examples": 128}, "timing": {}, "weights": "0" * 64,
           "peak_memory_bytes": 1, "parameters": 1, "curves": [], "environment": None}
STATE = {}


def remember():
    student = next(network for network in networks() if network.training)
    STATE.update({key: value.contiguous().clone() for key, value in student.state_dict().items()})


def write_all(folder, with_weights=True, **changes):
    from safetensors.torch import save_file
    (folder / "training.json").write_text(json.dumps(OUTCOME | changes))
    if with_weights:
        save_file(STATE, folder / "weights.safetensors")
"""


FORGED = {
    *("too-many-steps", "too-few-steps", "no-digest", "wrong-digest", "ok-with-a-reason", "curves-for-terminals"),
}
"""Outcomes that lie and could be true: only a second training can tell."""


def left(name: str, statements: str, status: str | tuple[str, ...] = "error", *, ends: bool = True) -> Case:
    """Return the case of a method that trains to its last step, leaves something in `folder`, and ends."""
    lines = ["remember()", "folder = scratch()", *statements.strip("\n").splitlines(), *["os._exit(0)"] * ends]
    body = "\n".join(f"    {line}" for line in lines)
    honest = name.removeprefix("outcome-") not in FORGED
    return Case(name, Parts(at_import=WRITE_ALL, after=f"if run.step == 2:\n{body}"), status, honest=honest)


OUTCOMES = {
    "nothing": "pass",
    "not-json": "write_all(folder); (folder / 'training.json').write_bytes(os.urandom(1000))",
    "empty": "write_all(folder); (folder / 'training.json').write_bytes(b'')",
    "deep": "write_all(folder); (folder / 'training.json').write_text('[' * 10**6)",
    "deep-object": "write_all(folder); (folder / 'training.json').write_text('{\"a\":' * 10**5)",
    "not-a-number": "write_all(folder, peak_memory_bytes=float('nan'))",
    "infinite": "write_all(folder, timing={'training': float('inf')})",
    "negative": "write_all(folder, budget={'steps': -1})",
    "absurd": "write_all(folder, budget={'steps': 10**30, 'examples': 10**100})",
    "too-many-steps": "write_all(folder, budget={'steps': 3, 'examples': 128})",
    "too-few-steps": "write_all(folder, budget={'steps': 0, 'examples': 0})",
    "unknown-status": "write_all(folder, status='splendid')",
    "unknown-key": "write_all(folder, test={'clean': 1.0})",
    "no-digest": "OUTCOME['weights'] = None; write_all(folder)",
    "wrong-digest": "write_all(folder)",
    "reason-for-terminals": "write_all(folder, status='error', reason='\\x1b[31m\\x00' * 1000)",
    "reason-is-long": "write_all(folder, status='diverged', reason='x' * 10**7)",
    "ok-with-a-reason": "write_all(folder, reason='fine')",
    "many-curves": "write_all(folder, curves=[{'a': 1.0}] * 10**5)",
    "curves-of-many": "write_all(folder, curves=[{f'a{i}': 1.0 for i in range(10**5)}])",
    "curves-for-terminals": "write_all(folder, curves=[{'\\x1b[31m': 1.0}])",
    "curves-are-texts": "write_all(folder, curves=[{'a': 'x'}])",
    "curves-are-not-numbers": "write_all(folder, status='error', reason='odd', curves=[{'a': float('nan')}])",
    "curves-of-a-tally": """
(folder / 'tally.json').write_text(json.dumps(OUTCOME | {'curves': [{'\\x1b[31m' + 'x' * 10**6: 1.0}]}))
""",
    "not-numbers-of-a-tally": """
(folder / 'tally.json').write_text(json.dumps(OUTCOME | {'curves': [{'a': float('nan')}]}))
""",
    "counts-of-a-tally": """
(folder / 'tally.json').write_text(json.dumps(OUTCOME | {'budget': {'steps': -1, 'examples': 10**30}}))
""",
    "environment-is-forged": "write_all(folder, environment={'kdbench': '\\x1b[31m', 'device_class': 'cuda-bfloat16'})",
    "sparse": "write_all(folder); os.truncate(folder / 'training.json', 2**33)",
    "not-utf-8": "write_all(folder); (folder / 'training.json').write_bytes(b'{\"status\": \"\\xff\"}')",
}
WEIGHT_FILES = {
    "none": "write_all(folder, False)",
    "empty": "write_all(folder); (folder / 'weights.safetensors').write_bytes(b'')",
    "garbage": "write_all(folder); (folder / 'weights.safetensors').write_bytes(os.urandom(100_000))",
    "cut": "write_all(folder); os.truncate(folder / 'weights.safetensors', 1000)",
    "sparse": "write_all(folder); os.truncate(folder / 'weights.safetensors', 2**40)",
    "long-header": "write_all(folder); (folder / 'weights.safetensors').write_bytes(struct.pack('<Q', 2**62) + b'{}')",
    "header-is-deep": """
write_all(folder)
(folder / 'weights.safetensors').write_bytes(struct.pack('<Q', 10**5) + b'[' * 10**5)
""",
    "offsets-overlap": """
write_all(folder)
header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in STATE}).encode()
(folder / 'weights.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + bytes(4))
""",
    "shape-is-huge": """
write_all(folder)
header = json.dumps({"a": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}}).encode()
(folder / 'weights.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + bytes(4))
""",
    "pickle": "write_all(folder); torch.save(STATE, folder / 'weights.safetensors')",
    "other-names": "STATE['extra'] = torch.zeros(3); write_all(folder)",
    "fewer-names": "STATE.popitem(); write_all(folder)",
    "other-shape": "name = next(iter(STATE)); STATE[name] = torch.zeros(1); write_all(folder)",
    "other-type": "STATE.update({key: value.double() for key, value in STATE.items()}); write_all(folder)",
    "not-a-number": "next(iter(STATE.values())).fill_(float('nan')); write_all(folder)",
    "of-a-neighbour": """
write_all(folder, False)
os.symlink(NEIGHBOURS[0] + '/weights.safetensors', folder / 'weights.safetensors')
""",
    "of-the-device": "write_all(folder, False); os.symlink('/dev/zero', folder / 'weights.safetensors')",
}
KINDS = {
    "link-to-device": "os.symlink('/dev/zero', path)",
    "link-to-secret": "os.symlink(SECRET, path)",
    "link-to-itself": "os.symlink(path, path)",
    "link-to-neighbour": "os.symlink(Path(NEIGHBOURS[0], path.name), path)",
    "link-to-nothing": "os.symlink(Path(OUTSIDE, 'written-through'), path)",
    "fifo": "os.mkfifo(path)",
    "folder": "(path / 'inner').mkdir(parents=True)",
    "two-names": "path.write_text('{}'); os.link(path, folder / 'twin')",
    "socket": "os.chdir(folder); socket.socket(socket.AF_UNIX).bind(path.name)",
    "secret": "path.write_bytes(b'x' * 1000); path.chmod(0)",
}
FILES = {"outcome": "training.json", "weights": WEIGHTS, "checkpoint": "checkpoint.pt", "log": "log.txt"}
OTHERS = {
    "forged-result": f"(folder / '{RESULT}').write_text('{{}}')",
    "forged-answers": f"np.savez(folder / '{PREDICTIONS}', a=np.zeros(3))",
    "forged-logits": "np.savez(folder / 'logits.npz', clean=np.zeros((20, 10)))",
    "garbage-checkpoint": "(folder / 'checkpoint.pt').write_bytes(os.urandom(1000))",
    "pickled-checkpoint": """
class Odd:
    def __reduce__(self):
        return Path.touch, (Path(OUTSIDE, 'unpickled'),)
import pickle
(folder / 'checkpoint.pt').write_bytes(pickle.dumps(Odd()))
torch.save({"counts": Odd()}, folder / 'checkpoint.pt')
""",
    "long-checkpoint": "(folder / 'checkpoint.pt').touch(); os.truncate(folder / 'checkpoint.pt', 2**40)",
    "names-of-lines": """
(folder / 'a\\nb\\x1b[31m').write_text('x')
(folder / os.fsdecode(b'\\xff\\xfe')).write_text('x')
""",
    "many-files": "for number in range(5000): (folder / f'file{number}').touch()",
    "long-names": "(folder / ('x' * 255)).touch()",
    "device": "os.mknod(folder / 'disk', stat.S_IFBLK | 0o600, os.makedev(1, 0))",
    "set-user-id": "shutil.copy('/bin/true', folder / 'root'); os.chmod(folder / 'root', 0o6777)",
    "closed-folder": """
(folder / 'inner').mkdir()
(folder / 'inner' / 'file').touch()
(folder / 'inner').chmod(0)
folder.chmod(0)
""",
    "deep-folders": """
os.chdir(folder)
for _ in range(3000):
    os.mkdir('d' * 100)
    os.chdir('d' * 100)
""",
    "deep-folders-of-short-names": """
os.chdir(folder)
for _ in range(1900):
    os.mkdir('d')
    os.chdir('d')
time.sleep(1)
""",
    "closed-folder-with-more-in-it": """
inner = folder / 'inner' / 'inner'
inner.mkdir(parents=True)
(inner / 'file').touch()
inner.chmod(0)
inner.parent.chmod(0)
""",
    "no-folder": "os.chdir('/'); shutil.rmtree(folder)",
    "folder-is-a-file": "os.chdir('/'); shutil.rmtree(folder); folder.touch()",
    "folder-is-a-link": "os.chdir('/'); folder.rename(str(folder) + '-away'); os.symlink(NEIGHBOURS[0], folder)",
    "folder-moves": "os.chdir('/'); folder.rename(Path(OUTSIDE, 'moved'))",
    "link-out": "os.symlink(NEIGHBOURS[0], folder / 'neighbour'); os.symlink('/', folder / 'root')",
    "hard-link-out": "os.link(SECRET, folder / 'secret')",
    "log-is-sparse": "os.truncate(folder / 'log.txt', 2**40)",
    "log-for-terminals": "print('\\x1b[31m\\x00' * 1000, flush=True)",
    "weights-of-snapshots": "(folder / 'snapshot-1.safetensors').write_bytes(os.urandom(100))",
}
KIND_CASES = tuple(
    left(f"{what}-{kind}", f"path = folder / '{file}'\nif path.exists(): path.unlink()\n{statements}")
    for what, file in FILES.items()
    for kind, statements in KINDS.items()
)
CASES = (
    *(
        left(f"outcome-{name}", statements, "ok" if name in FORGED else ("error", "diverged"))
        for name, statements in OUTCOMES.items()
    ),
    *(left(f"weights-{name}", statements, ("error", "diverged")) for name, statements in WEIGHT_FILES.items()),
    *(left(f"left-{name}", statements) for name, statements in OTHERS.items()),
)
FINISHING = tuple(
    left(f"finished-{name}", statements, ("ok", "error"), ends=False) for name, statements in OTHERS.items()
)


@pytest.fixture(scope="module")
def battle(arena: Arena) -> Battle:
    """One command with every method that ends by itself."""
    return arena.fight(CASES)


@pytest.fixture(scope="module")
def of_kinds(arena: Arena) -> Battle:
    """One command with every method that leaves something else than a regular file."""
    return arena.fight(KIND_CASES)


@pytest.fixture(scope="module")
def finishing(arena: Arena) -> Battle:
    """One command with every method that leaves something and lets the harness finish."""
    return arena.fight(FINISHING)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_training_leaves_is_its_own_row(case: Case, battle: Battle) -> None:
    battle.assert_row(case)


def test_what_trainings_leave_touches_nothing_else(battle: Battle) -> None:
    battle.assert_nothing_else_is_touched()


@pytest.mark.parametrize("case", KIND_CASES, ids=lambda case: case.name)
def test_what_is_not_a_regular_file_is_its_own_row(case: Case, of_kinds: Battle) -> None:
    of_kinds.assert_row(case)


def test_what_is_not_a_regular_file_touches_nothing_else(of_kinds: Battle) -> None:
    of_kinds.assert_nothing_else_is_touched()


@pytest.mark.parametrize("case", FINISHING, ids=lambda case: case.name)
def test_files_beside_those_of_the_harness_change_no_result(case: Case, finishing: Battle) -> None:
    finishing.assert_row(case)


def test_files_beside_those_of_the_harness_touch_nothing_else(finishing: Battle) -> None:
    failed = any(record.status != "ok" for case in FINISHING for record in finishing.rows(case.name))
    finishing.assert_nothing_else_is_touched(failures=failed)


def test_nothing_of_the_scratch_folders_is_kept(battle: Battle, of_kinds: Battle, finishing: Battle) -> None:
    for fighting in (battle, of_kinds, finishing):
        names = {name for _, folders, files in os.walk(fighting.results) for name in (*folders, *files)}
        assert not {name for name in names if name.startswith(("file", "inner", "disk", "ddd", "xxx", "root"))}
        assert not any(Path(fighting.results, ".scratch").glob("*"))
