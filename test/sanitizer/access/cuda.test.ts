import assert from "node:assert/strict"
import { test } from "node:test"
import { openDevice } from "../../../src/index.js"
import { skip } from "../../cuda/double.js"
import { affine, once } from "../../support/kernels.js"
import { Seen } from "./seen.js"

test(
  "on CUDA accesses are not checked: one warning names compute-sanitizer, and everything works",
  { skip },
  async () => {
    const warnings: Error[] = []
    const listen = (warning: Error) => void warnings.push(warning)
    process.on("warning", listen)
    using seen = new Seen({ accessModes: true, unwritten: true, pinned: true })
    using device = openDevice("cuda:0")
    using pinned = device.pinned("int32", 4)
    using x = device.zeros("int32", 4)
    x.copyFrom(pinned)
    affine.launch(once, 4, x, 1, 1)
    assert.deepEqual(await seen.on(device), [])
    assert.deepEqual([...x.readSync()], [1, 1, 1, 1])
    process.off("warning", listen)
    assert.deepEqual(
      warnings.map((warning): unknown => Reflect.get(warning, "code")),
      ["AUX_UNCHECKED"],
    )
    assert.match(warnings[0]?.message ?? "", /compute-sanitizer: see docs\/access-checks\.md/)
  },
)
