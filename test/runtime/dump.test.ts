import assert from "node:assert/strict"
import { test } from "node:test"
import { dump } from "../support/dump.js"
import { Latch } from "../support/latch.js"
import { onHost } from "../support/devices.js"

onHost("a dump", (open) => {
  test("shows which stream is held, and what its next operation runs after", () => {
    using device = open()
    const held = device.createStream({ name: "held" })
    const behind = device.createStream({ name: "behind" })
    const latch = new Latch(device)
    try {
      latch.hold(held)
      behind.wait(held)
      const [first = "", second = ""] = dump(device)
        .split("\n")
        .filter((line) => /^(held|behind) of/.test(line))
      const tick = /tick (\d+)/.exec(first)?.[1]
      assert.match(first, /^held of host: slot \d+, tick \d+, queued \d+, done \d+/)
      assert.match(second, new RegExp(`^behind of host: .*, after held of host:${tick}\\b`))
      const [, queued, done] = /queued (\d+), done (\d+)/.exec(first) ?? []
      assert.ok(Number(done) < Number(queued), first)
    } finally {
      latch.open()
    }
  })
})
