import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchGroup } from "../../../src/runtime/memory/launch-group.js"

test("§7 graphs: groups of very many graphs unite in any order", () => {
  const groups = Array.from({ length: 100_000 }, () => new LaunchGroup())
  const [first] = groups
  assert.ok(first !== undefined)
  for (let index = 1; index < groups.length; index++) groups[index - 1]?.unite(groups[index] ?? first)
  assert.ok(groups.every((group) => group.isOneWith(first) && group.launches === first.launches))
  assert.equal(new LaunchGroup().isOneWith(first), false)
})
