import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { pathToFileURL } from "node:url"
import { runAlone } from "./device.js"

const library = JSON.stringify(new URL("../../src/index.js", import.meta.url).href)
const folder = mkdtempSync(join(tmpdir(), "auxstream-"))
after(() => rmSync(folder, { recursive: true }))

const permission = Number(process.versions.node.split(".")[0]) < 24 ? "--experimental-permission" : "--permission"
const noLimits = process.platform === "win32" && "Windows has no such limit"

/** Flags that make the host device unusable, and the reason that it gives. */
const impossible: readonly [flags: readonly string[], reason: RegExp][] = [
  [["--jitless"], /--jitless/],
  [[permission, "--allow-fs-read=*"], /--allow-worker/],
]

for (const [flags, reason] of impossible) {
  test(`§4 listDevices and openDevice say why the host device is unusable: ${flags[0]}`, () => {
    const run = runAlone(
      `const { listDevices, openDevice } = await import(${library})
      const { usable, reason } = listDevices().find(({ id }) => id === "host")
      try { openDevice("host") } catch (error) { console.log(usable, error.code, error.message === reason, reason) }`,
      flags,
    )
    assert.match(run.stdout, /^false AUX_DEVICE_UNAVAILABLE true /)
    assert.match(run.stdout, reason)
  })
}

test("a worker that cannot be started does not lose the device while others exist", { skip: noLimits }, () => {
  const run = runAlone(
    `let ended = 0
    process.on("worker", (worker) => worker.on("exit", () => { ended++ }))
    const driver = open(20)
    const count = driver.kernels.load(source("count", ["inout int32*"], "Atomics.add(args[0], 0, 1)"))
    const nap = driver.kernels.load(source("nap", [], "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)"))
    const memory = driver.memory.allocatePinned(4)
    const streams = Array.from({ length: 20 }, () => driver.streams.create(0))
    leaveFiles(64) // Enough for one worker that starts, and not for 20.
    for (let round = 0; round < 3; round++) {
      for (const stream of streams) {
        launch(driver, stream, nap)
        launch(driver, stream, count, { address: memory.address, length: 1 })
      }
      for (const stream of streams) round === 1 ? driver.streams.synchronize(stream) : await completed(driver, stream)
      await driver.kernels.prepare(source("more", [], ""))
    }
    console.log(new Int32Array(memory.buffer, memory.byteOffset, 1)[0], ended > 0 ? "some failed" : "none failed")
    driver.close()`,
    [],
    { files: 1024 },
  )
  assert.deepEqual([run.stdout, run.status], ["60 some failed\n", 0], run.stderr)
})

test("where every worker has failed to start, one more is tried", { skip: noLimits }, () => {
  const run = runAlone(
    `import { mkdtempSync, rmSync } from "node:fs"
    import { tmpdir } from "node:os"
    import { join } from "node:path"
    const driver = open(2)
    const stream = driver.streams.create(0)
    const here = process.cwd()
    const gone = mkdtempSync(join(tmpdir(), "auxstream-"))
    process.chdir(gone)
    rmSync(gone, { recursive: true })
    process.on("worker", (worker) => worker.prependListener("exit", () => process.chdir(here)))
    launch(driver, stream, await driver.kernels.prepare(source("nothing", [], "")))
    await completed(driver, stream)
    console.log("done")
    driver.close()`,
  )
  assert.deepEqual([run.stdout, run.status], ["done\n", 0], run.stderr)
})

/** Ways to make starting any thread fail, and the error that follows. */
const hopeless: readonly [what: string, prepare: string, reason: RegExp][] = [
  [
    "the current folder is gone",
    `const gone = mkdtempSync(join(tmpdir(), "auxstream-")); process.chdir(gone); rmSync(gone, { recursive: true })`,
    /could not be started \(ENOENT/,
  ],
  ["too many files are open", "leaveFiles(0)", /could not be started \(.*EMFILE/],
]

for (const [what, prepare, reason] of hopeless) {
  test(`if no worker can be started, the error says why: ${what}`, { skip: noLimits }, () => {
    for (const wait of ["driver.streams.synchronize(stream)", "await completed(driver, stream)"]) {
      const run = runAlone(
        `import { mkdtempSync, rmSync } from "node:fs"
        import { tmpdir } from "node:os"
        import { join } from "node:path"
        const driver = open()
        const stream = driver.streams.create(0)
        const kernel = driver.kernels.load(source("nothing", [], ""))
        console.log("begin")
        ${prepare}
        launch(driver, stream, kernel)
        try { ${wait} } catch (error) { console.log(error.code, error.message) }
        driver.close()`,
        [],
        { files: 1024 },
      )
      assert.match(run.stdout, /AUX_DEVICE_LOST/, run.stderr)
      assert.match(run.stdout, reason)
      assert.equal(run.status, 0, run.stderr)
    }
  })
}

test("a program that is also a kernel's module cannot open the host device in its worker threads", () => {
  const program = join(folder, "program.mjs")
  writeFileSync(
    program,
    `import { defineKernel, listDevices, openDevice } from ${library}
    export function double(launch, x) { x[0] *= 2 }
    const kernel = defineKernel({ name: "double", signature: ["inout int32*"], host: { module: import.meta.url } })
    const { usable, reason } = listDevices().find(({ id }) => id === "host")
    process._rawDebug(usable ? "usable" : reason)
    using_(openDevice("host", { threads: 1 }))
    function using_(device) {
      const x = device.full("int32", 1, 3)
      try {
        kernel.launch({ grid: 1, block: 1 }, x)
        x.readSync()
      } catch (error) {
        process._rawDebug(error.code, error.message)
      }
      device.dispose()
    }`,
  )
  const run = runAlone(`await import(${JSON.stringify(pathToFileURL(program).href)})`)
  const [outside, inside, failure, ...others] = run.stderr.trim().split("\n")
  assert.equal(outside, "usable")
  assert.match(inside ?? "", /^this is a worker thread of the host device.*isMainThread/)
  assert.match(failure ?? "", /^AUX_KERNEL_FAILED .*"double".*isMainThread/)
  assert.deepEqual(others, [])
  assert.equal(run.status, 0)
})

/** Prints the number of the thread that it runs in. */
const preload = join(folder, "pre load.mjs")
writeFileSync(preload, 'import { threadId } from "node:worker_threads"; process._rawDebug(`preloaded in ${threadId}`)')

/** Prints the flags of its thread. */
const flagged = `
  const driver = open(1)
  const stream = driver.streams.create(0)
  const text = "throw new Error([process.noDeprecation, process.permission?.has('fs.write')].join(' '))"
  launch(driver, stream, driver.kernels.load(source("flagged", [], text)))
  try { driver.streams.synchronize(stream) } catch (error) { console.log(error.message) }
  driver.close()`

const url = pathToFileURL(preload).href
const preloaded: readonly [flags: readonly string[], options: string][] = [
  [["--import", url], ""],
  [[`--import=${url}`, "--max-old-space-size=200"], ""],
  [[], `--import "${url}" --max-old-space-size=200`],
  [["--require", join(folder, "pre load.cjs")], ""],
]
writeFileSync(
  join(folder, "pre load.cjs"),
  "process._rawDebug(`preloaded in ${require('node:worker_threads').threadId}`)",
)

for (const [flags, options] of preloaded) {
  test(`worker threads inherit the program's flags, but no preloaded file: ${[...flags, options][0]}`, () => {
    const others = ["--no-deprecation", permission, "--allow-worker", "--allow-fs-read=*", "--no-warnings"]
    const run = runAlone(flagged, [...flags, ...others], { env: { NODE_OPTIONS: options } })
    assert.equal(run.stderr, "preloaded in 0\n")
    assert.match(run.stdout, /Error: true false\./)
    assert.equal(run.status, 0)
  })
}
