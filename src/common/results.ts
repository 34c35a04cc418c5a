/** What functions return, as types: what is surely a promise, what may be one, and what is none. */

/** `true`, `false`, or `boolean` where the type does not say. */
type IsThenable<T> = 0 extends 1 & T
  ? boolean
  : [T] extends [never]
    ? false
    : unknown extends T
      ? boolean
      : T extends PromiseLike<unknown>
        ? true
        : false

/** Of a list of unknown length only the elements that it surely has count: it may be empty but for those. */
type Surely<T extends readonly unknown[]> = number extends T["length"]
  ? T extends readonly [infer First, ...infer Others]
    ? [IsThenable<First>] extends [true]
      ? true
      : Surely<Others>
    : false
  : true extends { [I in keyof T]: [IsThenable<T[I]>] extends [true] ? true : false }[number]
    ? true
    : false

type Possibly<T extends readonly unknown[]> = true extends { [I in keyof T]: IsThenable<T[I]> }[number] ? true : false

/** What a result is when nothing is awaited. */
export type Now<T> = 0 extends 1 & T ? T : Exclude<T, PromiseLike<unknown>>

/** `Sync`, or a promise of `Async` if one of the results is a promise, or either if the types do not say. */
export type Join<T extends readonly unknown[], Sync, Async> =
  Surely<T> extends true ? Promise<Async> : Possibly<T> extends true ? Sync | Promise<Async> : Sync
