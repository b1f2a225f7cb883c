#include "kernels.h"

NB_MODULE(_kernels, module) {
    bind_ingest(module);
    bind_top(module);
}
