import assert from "node:assert/strict"
import { test } from "node:test"
import * as auxstream from "auxstream"

/** Bundlers like to give classes names of their own, which errors and messages would show. */
test("classes have the names in the package that they have in the documentation", () => {
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
