"""
The training pipeline, one module a stage.

`STAGES` is the single order: the DAG, `bookrec run` and the documentation follow it. Importing this
package loads no stage: a scheduler that only needs the names pays nothing for them.
"""

STAGES = {
    "ingest": "Read the source into typed tables; rows that cannot be read get a reason.",
    "validate": "Hold the raw tables against Great Expectations suites; write Data Docs.",
    "clean": "Repair, deduplicate, and quarantine what cannot be repaired.",
    "profile": "Profile the batch, compare it with the one before, score it, and report.",
    "store": "Refuse the batch that its profile condemns; upsert any other into PostgreSQL.",
    "preprocess": "Vocabularies, weighted interactions, the split, and the features suite.",
    "train": "Fit one model: for choosing, for judging and for serving.",
    "blend": "Weigh the models against each other on validation rows.",
    "evaluate": "Judge the hybrid and its parts on test rows, over the whole catalogue.",
    "register": "Put the bundle into the MLflow registry and call it challenger.",
    "promote": "Let the gate decide whether the challenger becomes champion.",
    "warm_cache": "Ask the service to fill Redis for the new champion.",
}
"""What each stage does, in the order in which they run."""

LOADED = "store"
"""The stage after which a batch is part of its library."""

MAPPED = "train"
"""The stage that runs once for each model."""
