/**
 * A graph that is launched again is compared again only where something else has used its memory since. These tests change
 * one thing between two launches.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  type DataRaceError,
  type Device,
  type DeviceArray,
  parallel,
  type Stream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { accessesOf, mend, raceOf, sanitized, unsanitized } from "../support/races.js"

function write(x: DeviceArray<"int32">, stream: Stream): void {
  affine.launch({ ...over(x.length), stream }, x.length, x, 1, 1)
}

/** A graph that writes x and copies y to z, and has been launched twice on the stream a. Streams a and b know each other's work. */
function setUp(device: Device, start: () => { stop(): void } = sanitized) {
  const [a, b] = [device.createStream({ name: "a" }), device.createStream({ name: "b" })]
  const [x, y, z] = [device.zeros("int32", 64), device.zeros("int32", 64), device.zeros("int32", 64)]
  const graph = captureGraph(
    () => parallel([() => affine.launch(over(64), 64, x, 1, 1), () => combine.launch(over(64), 64, y, z)]),
    { device },
  )
  device.synchronize()
  const sanitizer = start()
  const launch = () => graph.launch(a)
  launch()
  launch()
  const meet = () => {
    a.wait(b)
    b.wait(a)
  }
  meet()
  return {
    ...{ a, b, x, y, z, graph, launch, meet },
    [Symbol.dispose]() {
      sanitizer.stop()
      device.synchronize()
      for (const each of [graph, a, b, x, y, z]) each.dispose()
    },
  }
}

forEachOpenDevice("§13 the sanitizer and graphs that are launched again:", (open) => {
  test("finds the operation of another stream since the latest launch", unsanitized, () => {
    using t = setUp(open())
    write(t.x, t.b)
    const race = raceOf(t.launch)
    assert.deepEqual(accessesOf(race), ["test_affine 1 readwrite on a", "test_affine 1 readwrite on b"])
    raceOf(t.launch) // What was refused has changed nothing.
    mend(race)
    t.launch()
    t.launch()
  })

  test("finds a write to what it only reads, and lets a read of it pass", unsanitized, () => {
    using t = setUp(open())
    t.b.run(() => combine.launch(over(64), 64, t.y, t.x.subarray(0))) // Reads y; b has waited for the launches.
    t.a.wait(t.b)
    t.launch()
    assert.deepEqual(accessesOf(raceOf(() => write(t.y, t.b))), [
      "test_affine 1 readwrite on b",
      "test_combine 1 read on a",
    ])
  })

  test("each launch counts: what was ordered after the former one races with the latest one", unsanitized, () => {
    using t = setUp(open())
    t.launch()
    assert.deepEqual(accessesOf(raceOf(() => write(t.x, t.b))), [
      "test_affine 1 readwrite on b",
      "test_affine 1 readwrite on a",
    ])
    raceOf(() => write(t.y, t.b))
    raceOf(() => write(t.z, t.b))
    t.b.wait(t.a)
    for (const array of [t.x, t.y, t.z]) write(array, t.b)
  })

  test("other bytes of its arrays, and views that divide them, are compared too", unsanitized, () => {
    using t = setUp(open())
    write(t.x.subarray(8, 16), t.b)
    raceOf(t.launch)
    t.a.wait(t.b)
    t.launch()
    write(t.x.subarray(8, 16), t.a)
    t.launch()
    raceOf(() => write(t.x.subarray(60), t.b))
  })

  test("a launch on another stream is ordered, and what follows it on either stream is compared", unsanitized, () => {
    using t = setUp(open())
    t.graph.launch(t.b)
    raceOf(() => write(t.x, t.a))
    t.launch()
    write(t.x, t.a)
    raceOf(() => write(t.x, t.b))
  })

  test("with warnings, each launch that races is reported", unsanitized, () => {
    const races: string[] = []
    const onRace = (race: DataRaceError) => void races.push(accessesOf(race).join(" / "))
    using t = setUp(open(), () => sanitized({ onRace }))
    t.launch()
    write(t.x, t.b)
    t.launch()
    t.launch()
    t.launch()
    assert.deepEqual(races, [
      "test_affine 1 readwrite on b / test_affine 1 readwrite on a",
      "test_affine 1 readwrite on a / test_affine 1 readwrite on b",
      "test_affine 1 readwrite on a / test_affine 1 readwrite on b",
      "test_affine 1 readwrite on a / test_affine 1 readwrite on b",
    ])
  })
})
