#!/bin/bash
# Scenes shared by several nodes of a SLURM cluster: sbatch examples/slurm.sh run_name=shared initial.known.pull=[1,2]
#
# One process on each node; what is given to sbatch goes on to train.py. A run that was preempted is resumed by
# the same command, since its run_name is the same.
#SBATCH --job-name=simlayer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
#SBATCH --signal=TERM@60
set -euo pipefail
srun python train.py trainer=ddp_cpu trainer.devices=1 trainer.num_nodes="$SLURM_NNODES" "$@"
