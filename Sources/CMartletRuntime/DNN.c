#include "DNN.h"

#include "DNNFunctions.h"
#include "DNNPlan.h"
#include "Team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { implementation_query = 8 };

struct martlet_dnn_layout_s {
  dnn_layout layout;
};

/// oneDNN's status where its library has no code for a description. It is handed to the caller, which takes another way.
enum { status_not_offered = 3 };

struct martlet_dnn_primitive_s {
  dnn_primitive primitive;
  martlet_dnn_kind kind;
  int32_t one_thread;
  char implementation[64];
  dnn_layout layouts[martlet_dnn_role_count];
  int64_t bytes[martlet_dnn_role_count];
};

/// Where oneDNN keeps a role's tensor: the argument number of an execution, the query for its layout.
typedef struct {
  int argument;
  int query;
  int index;
} place;

enum {
  source_query = 129,
  source_gradient_query = 130,
  weights_query = 131,
  weights_gradient_query = 132,
  destination_query = 133,
  destination_gradient_query = 134,
  workspace_query = 135,
  scratch_query = 136
};

// In the order of `martlet_dnn_role`; argument 0 stands for none.
#define SCRATCH {80, scratch_query, 0}
static const place places[][martlet_dnn_role_count] = {
  [martlet_dnn_convolution] =
    {{1, source_query, 0}, {33, weights_query, 0}, {41, weights_query, 1}, {17, destination_query, 0}, {0}, SCRATCH},
  [martlet_dnn_convolution_source_gradient] =
    {{129, source_gradient_query, 0}, {33, weights_query, 0}, {0}, {145, destination_gradient_query, 0}, {0}, SCRATCH},
  [martlet_dnn_convolution_weights_gradient] =
    {{1, source_query, 0},
     {161, weights_gradient_query, 0},
     {169, weights_gradient_query, 1},
     {145, destination_gradient_query, 0},
     {0},
     SCRATCH},
  [martlet_dnn_pooling] =
    {{1, source_query, 0}, {0}, {0}, {17, destination_query, 0}, {64, workspace_query, 0}, SCRATCH},
  [martlet_dnn_pooling_gradient] =
    {{129, source_gradient_query, 0},
     {0},
     {0},
     {145, destination_gradient_query, 0},
     {64, workspace_query, 0},
     SCRATCH},
  [martlet_dnn_product] =
    {{1, source_query, 0}, {33, weights_query, 0}, {41, weights_query, 1}, {17, destination_query, 0}, {0}, SCRATCH},
  [martlet_dnn_reorder] = {{1, source_query, 0}, {0}, {0}, {17, destination_query, 0}, {0}, SCRATCH},
};

static const char *const kind_names[] = {
  "convolution", "gradient of a convolution's source", "gradient of a convolution's weights", "pooling",
  "gradient of pooling", "product", "reorder"};

dnn_layout martlet_dnn_layout_value(const martlet_dnn_layout *layout) { return layout->layout; }

static void take_layouts(const dnn_functions *dnn, martlet_dnn_primitive *primitive, dnn_plan plan) {
  for (int role = 0; role < martlet_dnn_role_count; role++) {
    place at = places[primitive->kind][role];
    dnn_layout layout = at.argument ? dnn->plan_layout(plan, at.query, at.index) : NULL;
    size_t bytes = layout ? dnn->layout_bytes(layout) : 0;
    if (bytes == 0) continue;
    primitive->layouts[role] = martlet_dnn_copy_layout(dnn, layout);
    primitive->bytes[role] = (int64_t)bytes;
  }
}

static int make_primitive(
  const dnn_functions *dnn, const martlet_dnn_description *description, martlet_dnn_primitive *primitive) {
  dnn_plan plan = NULL;
  int status = martlet_dnn_make_plan(dnn, description, &plan);
  if (status == 0) status = dnn->primitive_create(&primitive->primitive, plan);
  if (status == 0) {
    const char *name = NULL;
    if (dnn->plan_query(plan, implementation_query, 0, &name) == 0 && name) {
      snprintf(primitive->implementation, sizeof primitive->implementation, "%s", name);
    }
    take_layouts(dnn, primitive, plan);
  }
  if (plan) dnn->plan_destroy(plan);
  return status;
}

typedef struct {
  const martlet_dnn_description *description;
  martlet_dnn_primitive *primitive;
  int status;
} making;

static void make_task(void *context) {
  making *work = context;
  if (work->description->one_thread && !(martlet_dnn_library()->shares_team && martlet_team_limit(1))) {
    work->status = status_not_offered;
    return;
  }
  work->status = make_primitive(martlet_dnn_functions(), work->description, work->primitive);
  if (work->description->one_thread) martlet_team_limit(0);
}

martlet_dnn_primitive *martlet_dnn_make(
  const martlet_dnn_description *description, char *message, size_t capacity) {
  static const char *const reasons[] = {
    "", "not enough memory", "the description is not valid", "not implemented", "not implemented", "it failed"};
  if (!martlet_dnn_library()->available) {
    snprintf(message, capacity, "%s", martlet_dnn_library()->message);
    return NULL;
  }
  making work = {description, calloc(1, sizeof(martlet_dnn_primitive)), 1};
  if (work.primitive) {
    work.primitive->kind = description->kind;
    work.primitive->one_thread = description->one_thread;
    // A primitive is made for the number of threads that its maker has.
    (description->one_thread ? martlet_team_run : martlet_team_plan)(make_task, &work);
  }
  if (work.status == 0) return work.primitive;
  if (work.primitive) martlet_dnn_release(work.primitive);
  const char *reason = work.status < 6 ? reasons[work.status] : "not implemented";
  snprintf(
    message, capacity, "oneDNN %d.%d makes no %s: %s (status %d)", martlet_dnn_library()->major,
    martlet_dnn_library()->minor, kind_names[description->kind], reason, work.status);
  return NULL;
}

void martlet_dnn_release(martlet_dnn_primitive *primitive) {
  const dnn_functions *dnn = martlet_dnn_functions();
  if (!primitive) return;
  if (primitive->primitive) dnn->primitive_destroy(primitive->primitive);
  for (int role = 0; role < martlet_dnn_role_count; role++) martlet_dnn_destroy_layout(dnn, primitive->layouts[role]);
  free(primitive);
}

const char *martlet_dnn_implementation(const martlet_dnn_primitive *primitive) { return primitive->implementation; }

int64_t martlet_dnn_bytes(const martlet_dnn_primitive *primitive, martlet_dnn_role role) {
  return primitive->bytes[role];
}

martlet_dnn_layout *martlet_dnn_layout_at(const martlet_dnn_primitive *primitive, martlet_dnn_role role) {
  if (!primitive->layouts[role]) return NULL;
  martlet_dnn_layout *layout = malloc(sizeof *layout);
  if (layout) layout->layout = martlet_dnn_copy_layout(martlet_dnn_functions(), primitive->layouts[role]);
  return layout;
}

void martlet_dnn_layout_release(martlet_dnn_layout *layout) {
  if (!layout) return;
  martlet_dnn_destroy_layout(martlet_dnn_functions(), layout->layout);
  free(layout);
}

int martlet_dnn_layouts_agree(const martlet_dnn_layout *a, const martlet_dnn_layout *b) {
  return martlet_dnn_functions()->layout_equal(a->layout, b->layout);
}

int martlet_dnn_layout_is(
  const martlet_dnn_primitive *primitive, martlet_dnn_role role, const martlet_dnn_tensor *tensor) {
  const dnn_functions *dnn = martlet_dnn_functions();
  dnn_layout layout = NULL;
  int same = 0;
  if (primitive->layouts[role] && martlet_dnn_make_layout(dnn, tensor, &layout) == 0 && layout) {
    same = dnn->layout_equal(primitive->layouts[role], layout);
  }
  martlet_dnn_destroy_layout(dnn, layout);
  return same;
}

int martlet_dnn_run(const martlet_dnn_primitive *primitive, void *const *memory) {
  const dnn_functions *dnn = martlet_dnn_functions();
  dnn_argument arguments[martlet_dnn_role_count];
  int count = 0;
  int status = 0;
  for (int role = 0; status == 0 && role < martlet_dnn_role_count; role++) {
    if (!primitive->layouts[role]) continue;
    arguments[count].argument = places[primitive->kind][role].argument;
    status = dnn->memory_create(&arguments[count].memory, primitive->layouts[role], dnn->engine, memory[role]);
    if (status == 0) count++;
  }
  if (primitive->one_thread) martlet_team_limit(1);
  if (status == 0) status = dnn->execute(primitive->primitive, dnn->stream, count, arguments);
  if (primitive->one_thread) martlet_team_limit(0);
  for (int i = 0; i < count; i++) dnn->memory_destroy(arguments[i].memory);
  return status == 0;
}

int martlet_dnn_sgemm(
  int32_t transpose_a, int32_t transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
  const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  return martlet_dnn_functions()->sgemm(
           transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) == 0;
}
