import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { toolkitCandidates } from "../../src/cuda/toolkit-places.js"
import { withEnvironment } from "../support/environment.js"

const file = {
  13: { linux: "libnvrtc.so.13", windows: "nvrtc64_130_0.dll" },
  12: { linux: "libnvrtc.so.12", windows: "nvrtc64_120_0.dll" },
} as const
const system = process.platform === "win32" ? "windows" : "linux"

test("a library of the driver's own version is preferred wherever it is: what a newer one makes, a driver may not take", () => {
  const root = mkdtempSync(join(tmpdir(), "auxstream-toolkit-"))
  try {
    mkdirSync(join(root, "lib64"))
    const path = (major: 12 | 13) => join(root, "lib64", file[major][system])
    for (const major of [12, 13] as const) writeFileSync(path(major), "")
    withEnvironment({ CUDA_PATH: root }, () => {
      for (const [driver, other] of [
        [12, 13],
        [13, 12],
      ] as const) {
        const candidates = toolkitCandidates(file, driver)
        const ours = [file[driver][system], path(driver), file[other][system], path(other)]
        assert.deepEqual(
          candidates.filter((candidate) => ours.includes(candidate)),
          ours,
        )
      }
    })
  } finally {
    rmSync(root, { recursive: true })
  }
})
