import assert from "node:assert/strict"
import { test } from "node:test"
import { runAlone } from "./device.js"

test("output of kernels appears in order when the work is done, whatever the process does next", () => {
  for (const end of ["driver.close()", "process.exit(0)"]) {
    const { stdout, stderr, status } = runAlone(`
      const driver = open()
      const stream = driver.streams.create(0)
      const text = "console.log('one', args[0]); console.log({ two: args[0] }); console.error('three', args[0])"
      const kernel = source("print", ["int32"], text)
      for (let index = 0; index < 3; index++) launch(driver, stream, driver.kernels.load(kernel), index)
      driver.streams.synchronize(stream)
      console.log("done")
      ${end}`)
    const lines = [0, 1, 2].flatMap((index) => [`one ${index}`, `{ two: ${index} }`])
    assert.equal(stdout, [...lines, "done", ""].join("\n"))
    assert.equal(stderr, "three 0\nthree 1\nthree 2\n")
    assert.equal(status, 0)
  }
})

test("an output that is longer than a pipe holds arrives whole", () => {
  const { stdout } = runAlone(`
    const driver = open()
    const stream = driver.streams.create(0)
    const kernel = source("print", ["int32"], "console.log('x'.repeat(args[0]))")
    launch(driver, stream, driver.kernels.load(kernel), 900_000)
    driver.streams.synchronize(stream)
    driver.close()`)
  assert.equal(stdout.length, 900_001)
})
