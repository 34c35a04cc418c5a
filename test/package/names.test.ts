import assert from "node:assert/strict"
import { test } from "node:test"
import { inspect } from "node:util"
import * as auxstream from "auxstream"

/** Bundlers rename classes, and errors and messages would show these names. */
test("classes in the package have their documented names", () => {
  const classes = Object.entries(auxstream).filter(([name]) => name.endsWith("Error"))
  assert.ok(classes.length >= 5)
  for (const [name, made] of classes) assert.equal(made.name, name)
  const device = auxstream.openDevice("host")
  const things = { Device: device, Stream: device.createStream(), Event: device.createEvent() }
  const array = device.zeros("int32", 1)
  const graph = auxstream.captureGraph(() => array.fill(1))
  for (const [name, thing] of Object.entries({ ...things, DeviceArray: array, Graph: graph })) {
    assert.equal(thing.constructor.name, name)
  }
  device.dispose()
})

test("console.log shows each object in one line", () => {
  const device = auxstream.openDevice("host")
  const array = device.zeros("int32", 3)
  const graph = auxstream.captureGraph(() => array.fill(1))
  const kernel = auxstream.defineKernel({ name: "nothing", signature: ["in int32*"], host: { source: "" } })
  const shown: readonly [object, RegExp][] = [
    [device, /^Device \{ host, .+ \}$/],
    [device.createStream({ name: "aux" }), /^Stream \{ aux of host \}$/],
    [device.createEvent({ name: "done" }), /^Event \{ done of host \}$/],
    [array, /^DeviceArray \{ the int32 array of 3 elements on host \}$/],
    [device.pinned("int8", 2), /^PinnedArray \{ the pinned int8 array of 2 elements on host \}$/],
    [kernel, /^Kernel \{ nothing\(in int32\*\) \}$/],
    [graph, /^Graph \{ 1 operations on 1 streams of host \}$/],
  ]
  for (const [thing, text] of shown) assert.match(inspect(thing), text)
  device.dispose()
  assert.match(inspect(array), /disposed/)
})
