/** Groups what the package exports by topic, by the folder of its source: a TypeDoc plugin. */

import { Comment, CommentTag, Converter, ReflectionKind } from "typedoc"

/** The first that fits counts. */
const topics = [
  [/\/src\/overlap\/|\/src\/placement\/|overlap/i, "Whether and where to overlap"],
  [/\/src\/parallel\/|common\/results/, "Fork and join"],
  [/\/src\/runtime\/graph\//, "Graphs"],
  [/\/src\/runtime\/kernel\/|struct\/layout|kernel-facts|CudaModuleBody|HostModuleBody|CompileOptions/, "Kernels"],
  [/\/src\/trace\//, "Traces"],
  [/\/src\/sanitizer\/|order\/operation|order\/region/, "Sanitizer"],
  [/common\/errors/, "Errors"],
  [/array|rows|dtype|float16/, "Arrays"],
  [/\/src\/blas\//, "Matrix products"],
  [/stream|event|current|completion/i, "Streams and events"],
  [/device|registry|load|driver/, "Devices"],
]

/** Called by TypeDoc. */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.parent?.kindOf(ReflectionKind.SomeModule)) return
    const file = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName ?? ""
    const topic = topics.find(([pattern]) => pattern.test(`${file.slice(file.indexOf("/src/"))} ${reflection.name}`))
    if (topic === undefined) return app.logger.warn(`${reflection.name} of ${file} has no topic in categories.mjs`)
    const tag = () => new CommentTag("@category", [{ kind: "text", text: topic[1] }])
    const add = (one) => (one.comment ??= new Comment()).blockTags.push(tag())
    add(reflection)
    for (const signature of reflection.signatures ?? []) add(signature)
  })
}
