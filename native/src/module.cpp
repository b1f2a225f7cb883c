#include "kernels.h"

NB_MODULE(_kernels, module) {
    // A store may live as long as the process does.
    nb::set_leak_warnings(false);
    bind_agreement(module);
    bind_ingest(module);
    bind_top(module);
}
