/** Reads and writes scalars in a struct's bytes, in little-endian order like all devices. */
import type { DType } from "../dtype/dtype.js"
import { bfloat16Bits, bfloat16Value, float16Bits, float16Value, float8Bits, float8Value } from "../dtype/half.js"

/** Writes a scalar that has been checked. 16-bit and 8-bit floats are rounded. */
export function writeScalar(view: DataView, offset: number, dtype: DType, value: number | bigint): void {
  switch (dtype) {
    case "float16":
      return view.setUint16(offset, float16Bits(Number(value)), true)
    case "bfloat16":
      return view.setUint16(offset, bfloat16Bits(Number(value)), true)
    case "float8_e4m3fn":
      return view.setUint8(offset, float8Bits(Number(value)))
    case "float32":
      return view.setFloat32(offset, Number(value), true)
    case "float64":
      return view.setFloat64(offset, Number(value), true)
    case "int8":
    case "uint8":
      return view.setUint8(offset, Number(value))
    case "int16":
    case "uint16":
      return view.setUint16(offset, Number(value), true)
    case "int32":
    case "uint32":
      return view.setUint32(offset, Number(value), true)
    case "int64":
    case "uint64":
      if (typeof value === "bigint") return view.setBigUint64(offset, value, true)
      view.setUint32(offset, value, true)
      return view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true)
  }
}

/** Reads a scalar: a bigint for 64-bit integers, otherwise a number. */
export function readScalar(view: DataView, offset: number, dtype: DType): number | bigint {
  switch (dtype) {
    case "float16":
      return float16Value(view.getUint16(offset, true))
    case "bfloat16":
      return bfloat16Value(view.getUint16(offset, true))
    case "float8_e4m3fn":
      return float8Value(view.getUint8(offset))
    case "float32":
      return view.getFloat32(offset, true)
    case "float64":
      return view.getFloat64(offset, true)
    case "int8":
      return view.getInt8(offset)
    case "uint8":
      return view.getUint8(offset)
    case "int16":
      return view.getInt16(offset, true)
    case "uint16":
      return view.getUint16(offset, true)
    case "int32":
      return view.getInt32(offset, true)
    case "uint32":
      return view.getUint32(offset, true)
    case "int64":
      return view.getBigInt64(offset, true)
    case "uint64":
      return view.getBigUint64(offset, true)
  }
}
