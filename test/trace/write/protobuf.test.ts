import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import protobuf from "protobufjs"
import { MessageWriter } from "../../../src/trace/write/protobuf.js"

const { root } = protobuf.parse(`
  syntax = "proto2";
  message Tree {
    optional uint64 number = 1;
    optional fixed64 fixed = 2000;
    optional string text = 16;
    repeated Tree children = 3;
    optional bool flag = 4;
  }`)
const Tree = root.lookupType("Tree")

interface Tree {
  number: number
  fixed: number
  text: string
  flag: boolean
  children: Tree[]
}

const write = (message: MessageWriter, { number, fixed, text, flag, children }: Tree): MessageWriter => {
  message.number(1, number).fixed64(2000, fixed).string(16, text).number(4, flag)
  for (const child of children) message.message(3, (inner) => write(inner, child))
  return message
}

const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.record<Tree>(
    {
      number: fc.maxSafeNat(),
      fixed: fc.maxSafeNat(),
      text: fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("é".repeat(64), "x".repeat(20_000))),
      flag: fc.boolean(),
      children: fc.oneof({ maxDepth: 4 }, fc.constant<Tree[]>([]), fc.array(tie("tree"), { maxLength: 3 })),
    },
    { noNullPrototype: true },
  ),
})).tree

describe("protobuf messages", () => {
  test("are read back by protobufjs as they were written", () => {
    fc.assert(
      fc.property(trees, (tree) => {
        const decoded = Tree.decode(write(new MessageWriter(), tree).finish())
        assert.deepEqual(Tree.toObject(decoded, { longs: Number, arrays: true }), tree)
      }),
      { numRuns: 200 },
    )
  })

  test("are whole wherever the writer runs out of room", () => {
    for (let length = 4060; length < 4100; length++) {
      const text = "x".repeat(length)
      const file = new MessageWriter().message(3, (inner) => inner.string(16, text)).finish()
      assert.deepEqual(Tree.toObject(Tree.decode(file)), { children: [{ text }] })
    }
  })

  test("have the nearest number that can be written for negative and fractional ones", () => {
    const numberOf = (value: number) =>
      Tree.toObject(Tree.decode(new MessageWriter().number(1, value).finish()), { longs: Number })
    assert.deepEqual([numberOf(-5), numberOf(1.6)], [{ number: 0 }, { number: 2 }])
  })
})
