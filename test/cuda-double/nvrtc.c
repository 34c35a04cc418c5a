/*
 * A double of the compiler: it reads the names and parameters of kernels, and the names and sizes of globals, from a source
 * and the headers given with it, and writes them into an image. A line with #error makes the compilation fail, with its text in
 * the log. So does an include of a header in quotes that is neither given nor a file, and a name expression of no template.
 */
#include "double.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NVRTC_COMPILATION 6
#define NVRTC_NO_NAME_EXPRESSIONS_AFTER_COMPILATION 8
#define NVRTC_NAME_EXPRESSION_NOT_VALID 10
#define LOG_SIZE 4096

#define MAX_EXPRESSIONS 16
struct expression {
  char text[128], lowered[128];
};

struct program {
  enum kind kind;
  char *source, *folder;
  struct expression expressions[MAX_EXPRESSIONS];
  int expression_count;
  bool compiled;
  char log[LOG_SIZE];
  char *image;
};

static int version_major = 13, version_minor = 0;
static int architectures[] = {75, 80, 86, 89, 90, 100};
static int architecture_count = 6;
static int compile_milliseconds;
static _Atomic bool compiler_held;
static _Atomic int compilations_held;

EXPORT void double_set_compiler_version(int major, int minor) {
  version_major = major;
  version_minor = minor;
}
/* The newest architecture that the compiler knows, of 75, 80, 86, 89, 90, 100. */
EXPORT void double_set_newest_architecture(int newest) {
  for (architecture_count = 1; architecture_count < 6 && architectures[architecture_count] <= newest;) architecture_count++;
}
EXPORT void double_set_compile_time(int milliseconds) { compile_milliseconds = milliseconds; }
/* Compilations from now on do not end until the test says so; after a minute they do, so that a failing test does not hang. */
EXPORT void double_hold_compiler(int held) { compiler_held = held; }
EXPORT int double_compilations_held(void) { return compilations_held; }
EXPORT int double_compile_nothing(void) {
  double_compile_pause();
  return 0;
}

void double_compile_pause(void) {
  const struct timespec pause = {compile_milliseconds / 1000, compile_milliseconds % 1000 * 1000000L};
  nanosleep(&pause, NULL);
  compilations_held++;
  for (int waited = 0; compiler_held && waited < 60000; waited++) usleep(1000);
  compilations_held--;
}

EXPORT const char *nvrtcGetErrorString(int status) {
  return status == 0 ? "NVRTC_SUCCESS" : status == NVRTC_COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INTERNAL_ERROR";
}

EXPORT int nvrtcVersion(int *major, int *minor) {
  ENTER(nvrtcVersion, 0);
  *major = version_major;
  *minor = version_minor;
  return 0;
}

EXPORT int nvrtcGetNumSupportedArchs(int *count) {
  ENTER(nvrtcGetNumSupportedArchs, 0);
  *count = architecture_count;
  return 0;
}

EXPORT int nvrtcGetSupportedArchs(int *out) {
  ENTER(nvrtcGetSupportedArchs, 0);
  memcpy(out, architectures, architecture_count * sizeof *architectures);
  return 0;
}

/* The source with the headers that it includes by these names, each in place of its include. */
static char *with_headers(const char *source, int count, const char *const *headers, const char *const *names) {
  char *text = strdup(source);
  for (int i = 0; i < count; i++) {
    char include[256];
    snprintf(include, sizeof include, "#include \"%s\"", names[i]);
    char *at = strstr(text, include);
    if (!at) continue;
    char *joined = calloc(1, strlen(text) + strlen(headers[i]) + 1);
    sprintf(joined, "%.*s%s%s", (int)(at - text), text, headers[i], at + strlen(include));
    free(text);
    text = joined;
    i = -1; /* A header may include others. */
  }
  return text;
}

EXPORT int nvrtcCreateProgram(struct program **out, const char *source, const char *name, int header_count,
                              const char *const *headers, const char *const *header_names) {
  ENTER(nvrtcCreateProgram, header_count);
  struct program *program = calloc(1, sizeof *program);
  program->source = with_headers(source, header_count, headers, header_names);
  const char *slash = strrchr(name, '/');
  program->folder = slash ? strndup(name, slash - name) : strdup(".");
  double_live.programs++;
  *out = program;
  return 0;
}

EXPORT int nvrtcDestroyProgram(struct program **program) {
  ENTER(nvrtcDestroyProgram, 0);
  free((*program)->source);
  free((*program)->folder);
  free((*program)->image);
  free(*program);
  *program = NULL;
  double_live.programs--;
  return 0;
}

static char *word_before(char *end, char *start) {
  while (end > start && (isalnum((unsigned char)end[-1]) || end[-1] == '_')) end--;
  return end;
}

/* The size of a parameter's type, given with the parameter's name. */
static int size_of(char *type) {
  char *end = word_before(type + strlen(type), type);
  while (end > type && isspace((unsigned char)end[-1])) end--;
  *end = 0;
  int struct_size = double_struct_size(word_before(end, type));
  if (struct_size) return struct_size;
  static const struct {
    const char *word;
    int size;
  } sizes[] = {{"long", 8}, {"int64", 8}, {"uint64", 8}, {"double", 8}, {"bfloat16", 2}, {"half", 2},
               {"short", 2}, {"int16", 2}, {"char", 1}, {"int8", 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (strstr(type, sizes[i].word)) return sizes[i].size;
  }
  return 4;
}

/* Writes a line of the image for the kernel whose parameters begin here. */
static int describe(char *out, size_t room, const char *name, int name_length, const char *parameters) {
  int length = snprintf(out, room, ".entry %.*s", name_length, name);
  const char *end = strchr(parameters, ')');
  while (parameters < end) {
    char type[256];
    size_t width = strcspn(parameters, ",)");
    snprintf(type, sizeof type, "%.*s", (int)width, parameters);
    bool pointer = strchr(type, '*') != NULL;
    if (strspn(type, " \n\t") < strlen(type)) {
      int size = pointer ? 8 : size_of(type);
      length += snprintf(out + length, room - length, " %c%d", pointer ? 'p' : 's', size);
    }
    parameters += width + 1;
  }
  return length + snprintf(out + length, room - length, "\n");
}

/* Writes the globals as PTX has them. */
static int describe_globals(const char *source, char *out, size_t room) {
  int length = 0;
  for (const char *at = strstr(source, "__"); at; at = strstr(at + 2, "__")) {
    bool constant = strncmp(at, "__constant__ ", 13) == 0;
    char type[32], name[64];
    int count = 1;
    if (!constant && strncmp(at, "__device__ ", 11) != 0) continue;
    const char *behind = at + (constant ? 13 : 11), *end = behind + strcspn(behind, ";({");
    if (*end == '(' || sscanf(behind, "%31s %63[A-Za-z0-9_][%d]", type, name, &count) < 2) continue;
    char sized[40];
    snprintf(sized, sizeof sized, "%s x", type);
    length += snprintf(out + length, room - length, ".%s .align 8 .b8 %s[%d];\n", constant ? "const" : "global", name,
                       size_of(sized) * count);
  }
  return length;
}

/* The symbol of a template's instance: the rules for plain names and these types, without what stands for the parameters. */
static void lower(const char *expression, char *out, size_t room) {
  static const struct {
    const char *type, *code;
  } codes[] = {{"float", "f"}, {"double", "d"}, {"int", "i"}};
  const char *open = strchr(expression, '<'), *last = expression;
  char path[256] = "";
  int parts = 0;
  size_t path_length = open ? (size_t)(open - expression) : strlen(expression);
  for (const char *at = expression; at <= expression + path_length; at++) {
    if (at < expression + path_length && strncmp(at, "::", 2) != 0) continue;
    sprintf(path + strlen(path), "%d%.*s", (int)(at - last), (int)(at - last), last);
    parts++;
    last = at + 2;
    at++;
  }
  int length = snprintf(out, room, "_Z%s%s", parts > 1 ? "N" : "", path);
  if (open) {
    length += snprintf(out + length, room - length, "I");
    char argument[64];
    for (const char *at = open + 1; sscanf(at, " %63[^,>]", argument) == 1; at += strcspn(at, ",>") + 1) {
      const char *code = NULL;
      for (size_t i = 0; i < 3; i++) if (strcmp(argument, codes[i].type) == 0) code = codes[i].code;
      length += code ? snprintf(out + length, room - length, "%s", code)
                     : snprintf(out + length, room - length, "Li%sE", argument);
      if (at[strcspn(at, ",>")] != ',') break;
    }
    length += snprintf(out + length, room - length, "E");
  }
  snprintf(out + length, room - length, "%sv", parts > 1 ? "E" : "");
}

/* The word before the parameters of the kernel that is declared here. */
static const char *name_of(const char *at, const char **parameters, int *length) {
  const char *open = strchr(at, '(');
  /* Attributes such as __launch_bounds__ have parentheses of their own. */
  while (open && strncmp(open - 17, "__launch_bounds__", 17) == 0) open = strchr(strchr(open, ')'), '(');
  if (!open) return NULL;
  const char *end = open, *begin;
  while (isspace((unsigned char)end[-1])) end--;
  for (begin = end; isalnum((unsigned char)begin[-1]) || begin[-1] == '_';) begin--;
  *parameters = open + 1;
  *length = (int)(end - begin);
  return begin;
}

static bool is_template(const char *source, const char *at) {
  const char *line = at;
  while (line > source && line[-1] != '}' && line[-1] != ';') line--;
  const char *found = strstr(line, "template");
  return found && found < at;
}

/* The last word of an expression's path. */
static bool is_expression_of(const char *expression, const char *name, int length) {
  const char *open = strchr(expression, '<'), *end = open ? open : expression + strlen(expression);
  return end - expression >= length && strncmp(end - length, name, length) == 0 &&
         (end - length == expression || end[-length - 1] == ':');
}

static void compile(struct program *program, const char *architecture) {
  size_t room = strlen(program->source) * 8 + 256;
  program->image = calloc(1, room);
  int length = snprintf(program->image, room, IMAGE_HEADER "%s\n", architecture);
  for (const char *at = strstr(program->source, "__global__"); at; at = strstr(at + 1, "__global__")) {
    const char *parameters;
    int name_length;
    const char *name = name_of(at, &parameters, &name_length);
    if (!name) break;
    bool expressed = false;
    for (int i = 0; i < program->expression_count; i++) {
      struct expression *expression = &program->expressions[i];
      if (!is_expression_of(expression->text, name, name_length)) continue;
      lower(expression->text, expression->lowered, sizeof expression->lowered);
      int lowered = (int)strlen(expression->lowered);
      length += describe(program->image + length, room - length, expression->lowered, lowered, parameters);
      expressed = true;
    }
    if (expressed || is_template(program->source, at)) continue;
    length += describe(program->image + length, room - length, name, name_length, parameters);
  }
  describe_globals(program->source, program->image + length, room - length);
}

/* The first header in quotes that is no file in the source's folder or in a folder of the options. */
static const char *missing_header(struct program *program, int count, const char *const *options) {
  for (const char *at = strstr(program->source, "#include \""); at; at = strstr(at + 1, "#include \"")) {
    const char *name = at + 10;
    char path[1024];
    bool found = false;
    for (int i = -1; i < count && !found; i++) {
      if (i >= 0 && strncmp(options[i], "--include-path=", 15) != 0) continue;
      const char *folder = *name == '/' ? "" : i < 0 ? program->folder : options[i] + 15;
      snprintf(path, sizeof path, "%s/%.*s", folder, (int)strcspn(name, "\""), name);
      found = access(path, R_OK) == 0;
    }
    if (!found) return name;
  }
  return NULL;
}

EXPORT int nvrtcCompileProgram(struct program *program, int count, const char *const *options) {
  ENTER(nvrtcCompileProgram, A(program));
  double_compile_pause();
  const char *architecture = "compute_75";
  int length = 0;
  for (int i = 0; i < count; i++) {
    if (strncmp(options[i], "--gpu-architecture=", 19) == 0) architecture = options[i] + 19;
    length += snprintf(program->log + length, LOG_SIZE - length, "%s\n", options[i]);
  }
  const char *error = strstr(program->source, "#error");
  if (error) {
    snprintf(program->log, LOG_SIZE, "kernel.cu(1): error: %.*s\n1 error detected\n", (int)strcspn(error, "\n"), error);
    return NVRTC_COMPILATION;
  }
  const char *missing = missing_header(program, count, options);
  if (missing) {
    snprintf(program->log, LOG_SIZE, "kernel.cu(1): catastrophic error: cannot open source file \"%.*s\"\n",
             (int)strcspn(missing, "\""), missing);
    return NVRTC_COMPILATION;
  }
  compile(program, architecture);
  for (int i = 0; i < program->expression_count; i++) {
    if (program->expressions[i].lowered[0]) continue;
    snprintf(program->log, LOG_SIZE, "__nv_name_map(2): error: identifier \"%s\" is undefined\n", program->expressions[i].text);
    return NVRTC_COMPILATION;
  }
  program->compiled = true;
  return 0;
}

EXPORT int nvrtcAddNameExpression(struct program *program, const char *text) {
  ENTER(nvrtcAddNameExpression, A(program));
  if (program->compiled) return NVRTC_NO_NAME_EXPRESSIONS_AFTER_COMPILATION;
  snprintf(program->expressions[program->expression_count++].text, 128, "%s", text);
  return 0;
}

EXPORT int nvrtcGetLoweredName(struct program *program, const char *text, const char **lowered) {
  ENTER(nvrtcGetLoweredName, A(program));
  for (int i = 0; i < program->expression_count; i++) {
    if (strcmp(program->expressions[i].text, text) != 0) continue;
    *lowered = program->expressions[i].lowered;
    return 0;
  }
  return NVRTC_NAME_EXPRESSION_NOT_VALID;
}

static int get_size(const char *text, size_t *size) {
  *size = text ? strlen(text) + 1 : 0;
  return 0;
}

#define GETTERS(what, field)                                                    \
  EXPORT int nvrtcGet##what##Size(struct program *program, size_t *size) {      \
    ENTER(nvrtcGet##what##Size, A(program));                                    \
    return get_size(program->field, size);                                      \
  }                                                                             \
  EXPORT int nvrtcGet##what(struct program *program, char *out) {               \
    ENTER(nvrtcGet##what, A(program));                                          \
    strcpy(out, program->field);                                                \
    return 0;                                                                   \
  }
GETTERS(CUBIN, image)
GETTERS(PTX, image)
GETTERS(ProgramLog, log)
