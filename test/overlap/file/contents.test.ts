import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { addSection, type Contents, decisionKey, parseContents, textOf } from "../../../src/overlap/file/contents.js"
import type { Environment, StoredDecision } from "../../../src/overlap/file/stored.js"
import { randomRuns } from "../../support/random-runs.js"

const environment: Environment = {
  device: "NVIDIA H200",
  multiprocessors: 132,
  driver: "CUDA 13.0",
  auxstream: "0.1.0",
  runtime: "Node.js 20",
}

function decision(values: Partial<StoredDecision> = {}): StoredDecision {
  return {
    call: "eager",
    key: 256,
    mode: "parallel",
    parallelMicroseconds: 46.4,
    sequentialMicroseconds: 56.5,
    pairs: 16,
    early: false,
    decided: "2026-12-01T12:00:00.000Z",
    ...values,
  }
}

function contentsOf(decisions: readonly StoredDecision[], policy = "experts", where = environment): Contents {
  const contents: Contents = new Map()
  const entries = decisions.map((one) => [decisionKey(one), one] as const)
  addSection(contents, policy, { environment: where, decisions: new Map(entries) })
  return contents
}

describe("§14: the file of decisions", () => {
  test("is JSON that a person can read: one decision a line, in the order of the keys", () => {
    const text = textOf(
      contentsOf([
        decision({ key: "b" }),
        decision({ key: 100 }),
        decision({ key: 9 }),
        decision({ call: "captured", key: 1, mode: "sequential" }),
      ]),
    )
    assert.equal(
      text,
      `{
  "auxstream": "overlap decisions",
  "version": 1,
  "policies": {
    "experts": [
      {
        "environment": { "device": "NVIDIA H200", "multiprocessors": 132, "driver": "CUDA 13.0", "auxstream": "0.1.0", "runtime": "Node.js 20" },
        "decisions": [
          { "call": "eager", "key": 9, "mode": "parallel", "parallelMicroseconds": 46.4, "sequentialMicroseconds": 56.5, "pairs": 16, "early": false, "decided": "2026-12-01T12:00:00.000Z" },
          { "call": "eager", "key": 100, "mode": "parallel", "parallelMicroseconds": 46.4, "sequentialMicroseconds": 56.5, "pairs": 16, "early": false, "decided": "2026-12-01T12:00:00.000Z" },
          { "call": "eager", "key": "b", "mode": "parallel", "parallelMicroseconds": 46.4, "sequentialMicroseconds": 56.5, "pairs": 16, "early": false, "decided": "2026-12-01T12:00:00.000Z" },
          { "call": "captured", "key": 1, "mode": "sequential", "parallelMicroseconds": 46.4, "sequentialMicroseconds": 56.5, "pairs": 16, "early": false, "decided": "2026-12-01T12:00:00.000Z" }
        ]
      }
    ]
  }
}
`,
    )
    assert.equal(textOf(parseContents(text)), text)
  })

  test("an empty one, and one with an odd name, can be read again", () => {
    for (const contents of [new Map(), contentsOf([], '"__proto__"\n'), contentsOf([decision()], "__proto__")]) {
      assert.deepEqual(parseContents(textOf(contents)), contents)
    }
  })

  test("keeps any key and any number as it was", () => {
    const time = fc.double({ min: 1e-3, max: 1e9, noNaN: true })
    const one = fc.record<StoredDecision>(
      {
        call: fc.constantFrom("eager", "captured"),
        key: fc.oneof(
          fc.string(),
          fc.double({ noNaN: true, noDefaultInfinity: true }).map((key) => (key === 0 ? 0 : key)),
        ),
        mode: fc.constantFrom("parallel", "sequential"),
        parallelMicroseconds: time,
        sequentialMicroseconds: time,
        pairs: fc.nat(32),
        early: fc.boolean(),
        decided: fc.integer({ min: 0, max: 4e12 }).map((milliseconds) => new Date(milliseconds).toISOString()),
      },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(fc.array(one, { maxLength: 20 }), fc.string(), (decisions, policy) => {
        const contents = contentsOf(decisions, policy)
        const sections = (all: Contents) =>
          [...all].map(([name, parts]) => [name, [...parts.values()].map((part) => new Set(part.decisions.values()))])
        assert.deepEqual(sections(parseContents(textOf(contents))), sections(contents))
      }),
      randomRuns(100),
    )
  })

  test("merged with another one, keeps the newer decision of each key, other policies and other environments", () => {
    const older = decision({ mode: "sequential", decided: "2026-12-01T11:00:00.000Z" })
    const elsewhere = { ...environment, driver: null }
    for (const order of [
      [older, decision()],
      [decision(), older],
    ]) {
      const contents: Contents = new Map()
      for (const one of order)
        for (const [, section] of contentsOf([one]).get("experts") ?? []) addSection(contents, "experts", section)
      for (const [, section] of contentsOf([older], "experts", elsewhere).get("experts") ?? [])
        addSection(contents, "experts", section)
      for (const [, section] of contentsOf([older], "norms").get("norms") ?? []) addSection(contents, "norms", section)
      const modes = [...contents].map(([policy, sections]) => [
        policy,
        [...sections.values()].map(({ decisions }) => decisions.get("eager 256")?.mode),
      ])
      assert.deepEqual(modes, [
        ["experts", ["parallel", "sequential"]],
        ["norms", ["sequential"]],
      ])
    }
  })

  test("a number is another key than its digits, and an eager call another than a graph", () => {
    const keys = [decision({ key: 1 }), decision({ key: "1" }), decision({ key: 1, call: "captured" })].map(decisionKey)
    assert.equal(new Set(keys).size, 3)
  })

  test("is refused with the place and the value, if it is broken", () => {
    const good = textOf(contentsOf([decision()]))
    for (const [broken, words] of [
      ["", /^it is not JSON: /],
      [good.slice(0, -20), /^it is not JSON: /],
      ["[]", /^it must be an object; got \[\]/],
      ['{ "name": "my-package" }', /^it is not a file of overlap decisions: "auxstream" must be "overlap decisions"/],
      [good.replace('"version": 1', '"version": 2'), /^its version is 2, and this auxstream knows version 1/],
      [
        good.replace('"key": 256', '"key": null'),
        /^policies\["experts"\]\[0\]\.decisions\[0\]\.key must be a number; got null/,
      ],
      [good.replace('"parallel"', '"sideways"'), /\.mode must be "parallel" or "sequential"; got 'sideways'/],
      [good.replace("46.4", "0"), /\.parallelMicroseconds must be a number above 0; got 0/],
      [good.replace("false", '"no"'), /\.early must be true or false; got 'no'/],
      [good.replace("2026-12-01T12", "soon"), /\.decided must be a date; got 'soon/],
      [good.replace("132", '"many"'), /\.environment\.multiprocessors must be a number of at least 0; got 'many'/],
      [good.replace('"decisions": [', '"decisions": {}, "other": ['), /\.decisions must be a list; got \{\}/],
    ] as const) {
      assert.notEqual(broken, good)
      assert.throws(() => parseContents(broken), { message: words })
    }
  })
})
