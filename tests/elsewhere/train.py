"""A training in a script that the tests serve: given are the run folder and how it is served."""

import sys

import coflect_widget as coflect
from tests.conftest import tiny_cnn

runs, how = sys.argv[1:3]
session = coflect.Session(
    tiny_cnn(), coflect.data.synthetic(n=256), run_dir=runs, config={"xai_every": 10**6}
)
if how == "serve":
    print(coflect.serve(session), flush=True)
session.train(steps=10**7)
session.wait()
session.close()
print("ended in order", flush=True)
