import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  fork,
  KernelError,
  openDevice,
  parallel,
  runIf,
} from "../../src/index.js"
import { collectUntil } from "../support/collect.js"
import { Collected } from "../support/collected.js"
import { affine, once, over, throwing } from "../support/kernels.js"

/** Lasting objects must not keep finished ones alive. */

let device: Device

before(() => {
  device = openDevice("host", { threads: 2 })
})
after(() => device.dispose())

const rounds = 20
const length = 10_000

/** Objects made in a captured function, and in the body of a conditional, that live longer than the graph. */
const survivors: Readonly<Record<string, () => object | undefined>> = {
  "the library's own events": () => void parallel([() => {}, () => {}]),
  "an event": () => currentStream(device).record(),
  "a fork": () => fork(() => {}),
  "a timer": () => setInterval(() => {}, 1_000_000),
}

/** Captures a graph, launches it and forgets it. */
function forgetGraph(captures: Collected, survive: () => object | undefined): unknown[] {
  const kept: unknown[] = []
  const inside = (x: DeviceArray<"int32">): void => {
    kept.push(survive())
    captures.watch(currentStream(device).state.capture ?? assert.fail())
    affine.launch(over(length), length, x, 3, 1)
  }
  captureGraph(() => {
    const flag = device.full("int32", 1, 1)
    const x = device.zeros("int32", length)
    inside(x)
    runIf(flag, () => inside(x))
  }).launch()
  return kept
}

for (const [what, survive] of Object.entries(survivors)) {
  test(`§8 a forgotten graph and its capture are collected, even if ${what} made in it stays`, async () => {
    const { used } = device.memory
    const captures = new Collected()
    const kept = Array.from({ length: rounds }, () => forgetGraph(captures, survive)).flat()
    await device.completed()
    await collectUntil(
      () => {
        device.zeros("int32", 1).dispose()
        return device.memory.used === used && captures.count === 2 * rounds
      },
      `${captures.count} of ${2 * rounds} captures, ${device.memory.used - used} bytes`,
    )
    assert.equal(kept.length, 2 * rounds)
    for (const one of kept) clearInterval(one as NodeJS.Timeout | undefined)
  })
}

for (const isKnown of [false, true]) {
  const what = isKnown ? "after its failure was known" : "before it failed"
  test(`§7 broken streams that other streams have waited for, ${what}, leave nothing behind`, async () => {
    const errors = new Collected()
    const outcome = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => assert.fail("a broken stream completed"),
        (error: unknown) => error,
      )
    const round = async (): Promise<void> => {
      using broken = device.createStream()
      using waiting = device.createStream()
      throwing.launch({ ...once, stream: broken }, 1)
      if (isKnown) await outcome(broken.completed())
      waiting.wait(broken)
      for (const stream of [waiting, broken]) {
        const error = await outcome(stream.completed())
        assert.ok(error instanceof KernelError)
        errors.watch(error)
      }
    }
    for (let count = 0; count < 100; count++) await round()
    // The slot of a broken stream is reused only after a while, and holds the error until then.
    const isDone = () => {
      device.createStream().dispose()
      return errors.count >= 160
    }
    await collectUntil(isDone, "most of 200 errors")
  })
}

test("§8 a disposed stream does not keep the streams that were made after it", async () => {
  const disposed = Array.from({ length: rounds }, () => device.createStream())
  for (const stream of disposed) stream.dispose()
  const forgotten = new Collected()
  const forget = () => {
    for (let count = 0; count < rounds; count++) forgotten.watch(device.createStream())
  }
  forget()
  await collectUntil(() => forgotten.count === rounds, `${forgotten.count} of ${rounds} streams`)
  assert.ok(disposed.every((stream) => stream.disposed))
})
