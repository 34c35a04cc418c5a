import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { doublePath, skip } from "../cuda/double.js"

/** The suites of everything but matrix products, and those of products, which are the same for all kinds of memory. */
const folders = ["../conformance/", "../blas/"].map((path) => fileURLToPath(new URL(path, import.meta.url)))

/**
 * Runs the same suites with the CUDA code over the driver's double, even if there is a GPU. This proves what our side of the
 * boundary does, never what a GPU does.
 */
for (const memory of ["own", "driver"]) {
  test(
    `§7 the suite passes on the CUDA device over the driver's double, memory handed out by: ${memory}`,
    { skip },
    () => {
      passes(memory === "own" ? folders : folders.slice(0, 1), { AUXSTREAM_CUDA_MEMORY: memory })
    },
  )
}

function passes(suites: readonly string[], variables: Record<string, string>): void {
  const own = fileURLToPath(import.meta.url)
  const files = suites
    .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => folder + name))
    .filter((path) => path.endsWith(".test.js") && path !== own)
  assert.ok(files.length > 15)
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env
  const { status, stdout } = spawnSync(process.execPath, ["--test", "--test-reporter=spec", ...files], {
    encoding: "utf8",
    timeout: 600_000,
    env: {
      ...environment,
      ...variables,
      AUXSTREAM_TEST_DEVICE: "cuda:0",
      AUXSTREAM_LIBCUDA: doublePath,
      AUXSTREAM_LIBNVRTC: doublePath,
      AUXSTREAM_LIBCUBLASLT: doublePath,
      AUXSTREAM_LIBCUBLAS: doublePath,
      AUXSTREAM_LIBCUPTI: doublePath,
    },
  })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /on cuda:0/)
}
