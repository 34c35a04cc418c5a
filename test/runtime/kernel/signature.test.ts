import assert from "node:assert/strict"
import { test } from "node:test"
import { inspect } from "node:util"
import { defineKernel } from "../../../src/index.js"
import { dtypes } from "../../../src/common/dtype/elements.js"
import { parseSignature } from "../../../src/runtime/kernel/signature.js"
import { refused } from "../../support/errors.js"

test("§4 signature: a dtype is a scalar; an access with a dtype and an asterisk is an array", () => {
  const access = ["in", "out", "inout"]
  for (const dtype of dtypes) {
    assert.deepEqual(parseSignature([dtype], "k"), [{ dtype, access: undefined }])
    for (const word of access) assert.deepEqual(parseSignature([`${word} ${dtype}*`], "k"), [{ dtype, access: word }])
  }
  assert.deepEqual(parseSignature([], "k"), [])
  assert.deepEqual(parseSignature(["int32", "inout float32*", "in uint8*"], "k"), [
    { dtype: "int32", access: undefined },
    { dtype: "float32", access: "inout" },
    { dtype: "uint8", access: "in" },
  ])
})

test("§4 signature: anything else is refused with its place, its value and the allowed values", () => {
  for (const wrong of [
    ...["float", "Int32", "in int32", "int32*", "in  int32*", "in int32 *", " int32", "int32 ", "const int32*"],
    ...["in out int32*", "IN int32*", "", "in toString*", "constructor", "in int32**", "int32\n"],
    ...[null, undefined, 5, {}, ["int32"]],
  ]) {
    const error = refused(
      () => parseSignature(["int32", wrong], "k"),
      "AUX_INVALID_ARGUMENT",
      'Parameter 1 of kernel "k"',
    )
    assert.ok(error.message.includes(inspect(wrong)), error.message)
  }
  const holes: unknown[] = []
  holes[1] = "int32"
  refused(() => parseSignature(holes, "k"), "AUX_INVALID_ARGUMENT", "Parameter 0", "undefined")
  for (const wrong of [null, undefined, "int32", { 0: "int32", length: 1 }, 5]) {
    refused(() => parseSignature(wrong, "k"), "AUX_INVALID_ARGUMENT", 'signature of kernel "k"')
  }
})

test("§4 defineKernel: the name is an identifier", () => {
  for (const name of ["a", "_a", "$a", "a1", "saxpy_float32"])
    assert.equal(defineKernel({ name, signature: [], host: { source: "" } }).name, name)
  for (const name of ["", "1a", "a b", "a-b", "a.b", "a\n", "ä"]) {
    refused(
      () => defineKernel({ name, signature: [], host: { source: "" } }),
      "AUX_INVALID_ARGUMENT",
      "name",
      "identifier",
    )
  }
})
