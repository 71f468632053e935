"""Every error and warning that the package raises on purpose.

```
MMMError
├── PanelError            the table of spend, controls and outcome is not usable
│   └── PredictionError   the new table does not continue the one that was fitted
├── ExperimentError       an experiment is not usable, or does not fit the panel
├── SpecError             a choice in the model specification is unknown or contradictory
├── SamplingError         the sampler could not start
├── BatchError            a batch cannot run where it should, or a fit of it is asked for that failed
├── PlanError             the planning problem is not well posed
│   └── InfeasibleError   its constraints exclude each other
├── ConfigError           a configuration file is wrong; names the key and the line
├── MonitoringError       what a fitted model is to be checked against is not usable
├── StoreError            a saved fit cannot be written or read
├── LedgerError           an event does not fit the ledger, or its database cannot be used; nothing was written
├── RegistryError         a model version does not admit what is asked of it; nothing was written
├── RemarketingError      a table of customers is not usable, or an audience is not well posed
└── DatasetError          a public data set cannot be had

MMMWarning
├── PriorWarning          the prior says what cannot be, such as media that bring more than everything
├── ConvergenceWarning    the draws should not be trusted yet
└── ApproximationWarning  the draws are those of an approximation; says whether to believe it
```

`MMMError` derives from `ValueError`: each of these says that something handed in was not usable.
"""


class MMMError(ValueError):
    """Base of the package's errors: catch this one to catch them all."""


class PanelError(MMMError):
    """The table is not usable; the message names the column, the date and the value."""


class PredictionError(PanelError):
    """The new panel does not continue the one that was fitted."""


class ExperimentError(MMMError):
    """An experiment is not usable, or does not fit the panel; the message names row, channel, date and value."""


class SpecError(MMMError):
    """A model choice is unknown, contradictory or does not fit the panel."""


class SamplingError(MMMError):
    """The sampler found no point from which it could start."""


class BatchError(MMMError):
    """A batch cannot run where it should, or a fit of it is asked for that failed; the message says why."""


class PlanError(MMMError):
    """A planning problem is not well posed."""


class InfeasibleError(PlanError):
    """No plan satisfies all constraints; the message names those that clash."""


class ConfigError(MMMError):
    """A configuration file is wrong; the message names the key and the line."""


class MonitoringError(MMMError):
    """What a fitted model is to be checked against is not usable."""


class StoreError(MMMError):
    """A fit cannot be saved to, or loaded from, the given place."""


class LedgerError(MMMError):
    """An event does not fit the ledger, or its database cannot be used; says which decision and why. Nothing was written."""


class RegistryError(MMMError):
    """A model version does not admit what is asked of it; says which version and why. Nothing was written."""


class RemarketingError(MMMError):
    """A table of customers is not usable, or an audience is not well posed; the message names the column and the count."""


class DatasetError(MMMError):
    """A public data set is neither in the local folder nor reachable."""


class MMMWarning(UserWarning):
    """Base of the package's warnings."""


class ConvergenceWarning(MMMWarning):
    """The sampler's diagnostics say that the draws should not be trusted yet."""


class PriorWarning(MMMWarning):
    """The prior says what cannot be; names what in it does, and what to state instead."""


class ApproximationWarning(MMMWarning):
    """The draws are a quick look by an approximation, not a sample of the posterior; says whether to believe them."""
