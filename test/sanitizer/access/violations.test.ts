import assert from "node:assert/strict"
import { test } from "node:test"
import {
  AccessViolationError,
  captureGraph,
  defineKernel,
  fork,
  KernelError,
  maybeExecuteInParallel,
  startSanitizer,
} from "../../../src/index.js"
import { refused, thrownBy } from "../../support/errors.js"
import { affine, once } from "../../support/kernels.js"
import { Latch } from "../../support/latch.js"
import { openHost, Seen } from "./seen.js"

const change = defineKernel({
  name: "change",
  signature: ["int32", "in int32*"],
  host: { source: "export function change(launch, at, x) { x[at]++ }" },
})

test("§8 by default a violation breaks its stream like a kernel that throws: later work is skipped, arrays are failed", () => {
  using sanitizer = startSanitizer({ accessModes: true })
  using device = openHost()
  using stream = device.createStream({ name: "aux" })
  using x = device.zeros("int32", 4)
  using y = device.zeros("int32", 4)
  device.synchronize()
  using latch = new Latch(device).hold(stream)
  change.launch({ ...once, stream }, 2, x)
  affine.launch({ ...once, stream }, 4, y, 1, 1)
  latch.open()
  const error = thrownBy(() => stream.synchronize())
  assert.ok(error instanceof AccessViolationError && error instanceof KernelError)
  const { name, code, kernel, kind, argument, begin, end } = error
  assert.deepEqual(
    { name, code, kernel, kind, argument, begin, end, stream: error.stream },
    {
      name: "AccessViolationError",
      code: "AUX_ACCESS_VIOLATION",
      kernel: "change",
      kind: "written",
      argument: "1",
      begin: 8,
      end: 12,
      stream: "aux of host",
    },
  )
  assert.match(error.launchStack, /^ {4}at .*violations\.test/)
  assert.ok(!error.launchStack.includes("/src/"), "without the library's own calls")
  const words =
    /Kernel "change" on aux of host changed element 2 \(bytes 8 to 11\) of argument 1, which its signature declares `in`/
  assert.match(error.message, words)
  assert.match(
    error.message,
    /Declare it `inout`.*stays broken until you dispose of it\.\nIt was queued here:\n {4}at /s,
  )
  assert.equal(
    thrownBy(() => change.launch({ ...once, stream }, 0, x)),
    error,
  )
  assert.equal(
    thrownBy(() => y.readSync()),
    error,
  )
  affine.launch(once, 4, x, 1, 1)
  sanitizer.stop()
})

test("§8 the call that waits for the stream gets the violation: a fork-join's, a read's, a promise's", async () => {
  using sanitizer = startSanitizer({ accessModes: true, stacks: false })
  using device = openHost()
  using aux = device.createStream()
  using x = device.zeros("int32", 4)
  const [start, done] = [device.createEvent(), device.createEvent()]
  maybeExecuteInParallel(
    () => {},
    () => change.launch(once, 0, x),
    start,
    done,
    aux,
  )
  await assert.rejects(device.completed(), (error) => {
    const first = error instanceof AccessViolationError ? error : (error as Error).cause
    return first instanceof AccessViolationError && first.launchStack === ""
  })
  sanitizer.stop()
})

test("`warn` emits a process warning once for each kernel, argument and kind, and the program continues", async () => {
  const warnings: Error[] = []
  const listen = (warning: Error) => void warnings.push(warning)
  process.on("warning", listen)
  using sanitizer = startSanitizer({ accessModes: true, onViolation: "warn", races: false })
  using device = openHost()
  using x = device.zeros("int32", 4)
  for (let at = 0; at < 3; at++) change.launch(once, at, x)
  assert.deepEqual([...x.readSync()], [1, 1, 1, 0])
  while (warnings.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  process.off("warning", listen)
  assert.deepEqual(
    warnings.map((warning): unknown[] => [warning.name, Reflect.get(warning, "code")]),
    [["AuxstreamWarning", "AUX_ACCESS_VIOLATION"]],
  )
  assert.match(warnings[0]?.message ?? "", /^Kernel "change" on the default stream of host changed element 0/)
  sanitizer.stop()
})

test("a callback is called in the event loop, never inside a call of the program's; `stop` passes on the rest", () => {
  const seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  change.launch(once, 0, x)
  device.synchronize()
  assert.equal(seen.violations.length, 0)
  seen.stop()
  assert.equal(seen.violations.length, 1)
  assert.ok(seen.violations[0] instanceof AccessViolationError)
})

test("the stack of a launch in a graph is that of the graph's launch", async () => {
  using seen = new Seen()
  using device = openHost()
  using x = device.zeros("int32", 4)
  using graph = captureGraph(() => change.launch(once, 0, x), { device })
  function launchesTheGraph(): void {
    graph.launch()
  }
  launchesTheGraph()
  device.synchronize()
  await new Promise((resolve) => setImmediate(resolve))
  assert.match(seen.violations[0]?.launchStack ?? "", /^ {4}at launchesTheGraph /)
})

test("kept stacks are bounded: a million launches from one place keep one", async () => {
  using seen = new Seen()
  using device = openHost()
  const idle = defineKernel({ name: "idle", signature: [], host: { source: "export function idle() {}" } })
  const launchMany = (count: number) => {
    for (let index = 0; index < count; index++) {
      idle.launch(once)
      if (index % 1000 === 0) device.synchronize()
    }
  }
  launchMany(2000)
  const before = process.memoryUsage().heapUsed
  launchMany(20_000)
  assert.ok(process.memoryUsage().heapUsed - before < 40 * 2 ** 20)
  assert.deepEqual(await seen.on(device), [])
})

test("bad options are refused; one sanitizer at a time checks accesses", () => {
  // @ts-expect-error not a boolean
  refused(() => startSanitizer({ accessModes: 1 }), "AUX_INVALID_ARGUMENT", "accessModes", "true or false")
  // @ts-expect-error not a boolean
  refused(() => startSanitizer({ unwritten: "yes" }), "AUX_INVALID_ARGUMENT", "unwritten")
  // @ts-expect-error not a boolean
  refused(() => startSanitizer({ pinned: null }), "AUX_INVALID_ARGUMENT", "pinned")
  // @ts-expect-error not a boolean
  refused(() => startSanitizer({ races: 0 }), "AUX_INVALID_ARGUMENT", "races")
  // @ts-expect-error no such way
  refused(() => startSanitizer({ onViolation: "print" }), "AUX_INVALID_ARGUMENT", "onViolation", "print")
  const partial: object = { name: "k", signature: [], host: { source: "" }, partialOutputs: 1 }
  refused(() => Reflect.apply(defineKernel, undefined, [partial]), "AUX_INVALID_ARGUMENT", "partialOutputs")
  using seen = new Seen()
  refused(() => startSanitizer({ pinned: true }), "AUX_INVALID_ARGUMENT", "one sanitizer at a time")
  startSanitizer({ races: false }).stop()
  seen.stop()
  startSanitizer({ pinned: true }).stop()
})

test("it finds races at the same time, and refuses the second access before it is queued", async () => {
  const races: string[] = []
  using seen = new Seen({
    accessModes: true,
    races: true,
    onRace: ({ code }: Error & { code: string }) => void races.push(code),
  } as object)
  using device = openHost()
  using x = device.zeros("int32", 4)
  // The two do race, so a latch keeps the first one from writing what the second one is seen to write.
  using latch = new Latch(device)
  fork(() => {
    latch.hold()
    affine.launch(once, 4, x, 1, 1)
  })
  change.launch(once, 0, x.subarray(2))
  assert.deepEqual(races, ["AUX_DATA_RACE"])
  device.defaultStream.synchronize()
  latch.open()
  assert.deepEqual(await seen.on(device), ["change(1) written 0..4"])
})
