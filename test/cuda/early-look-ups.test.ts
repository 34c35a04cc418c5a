/** koffi ends the process if a Worker is terminated while it loads a library, looks up a function or makes a buffer. */
import assert from "node:assert/strict"
import { test } from "node:test"
import koffi from "koffi"
import { captureGraph, openDevice, runIf } from "../../src/index.js"
import { affine, once } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { skip } from "./double.js"

/** The libraries, functions and buffers that koffi has been asked for. */
const asked: string[] = []

/** Counts each library and each function that is looked up, and each buffer that is made, from now on. */
function countLookUps(): void {
  const load = koffi.load.bind(koffi)
  const view = koffi.view.bind(koffi)
  Reflect.set(koffi, "view", (address: number, byteLength: number) => {
    asked.push(`a buffer of ${byteLength} bytes`)
    return view(address, byteLength)
  })
  Reflect.set(koffi, "load", (path: string | null) => {
    asked.push(String(path))
    const library = load(path)
    return {
      func: (name: string, result: string, parameters: string[]) => {
        asked.push(name)
        return library.func(name, result, parameters)
      },
    }
  })
}

test("what an open device may need at any time is looked up when it is opened", { skip }, async () => {
  countLookUps()
  using device = openDevice("cuda:0")
  await affine.prepare(device)
  assert.ok(asked.includes("cuStreamBeginCaptureToGraph") || asked.includes("cuGraphLaunch"), asked.join(" "))
  using latch = new Latch(device) // Its pinned array has a buffer of its own.
  using x = device.zeros("int32", 1)
  await x.read() // The first read of this size makes a buffer, which later ones use again.
  assert.match(asked.at(-1) ?? "", /^a buffer of/)
  const atOpening = asked.length
  using graph = captureGraph(
    () => {
      affine.launch(once, 1, x, 2, 1)
      runIf(x, () => affine.launch(once, 1, x, 2, 1))
    },
    { device },
  )
  graph.launch()
  assert.deepEqual([...(await x.read())], [3])
  latch.hold()
  const completed = device.defaultStream.completed()
  for (const end = performance.now() + 20; performance.now() < end;) await new Promise(setImmediate)
  latch.open()
  await completed
  assert.deepEqual(asked.slice(atOpening), [])
})
